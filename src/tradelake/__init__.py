"""tradelake: an Apache Hudi lake that follows a store of crypto trades within a second."""

__version__ = "0.1.0"
