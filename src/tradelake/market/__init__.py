"""Where trades come from: a simulated market, and dumps of real ones."""
