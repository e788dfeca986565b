// How old what is shown is, told by the server's clock and counted on here; also when the server
// does not answer any more.
(function () {
  const STALE_SECONDS = 10; // ten commits of a live pipeline
  const SILENT_SECONDS = 5;
  let stamp = null;
  let received = 0;

  function lasted(seconds) {
    if (seconds < 60) return Math.floor(seconds) + " s";
    if (seconds < 3600) return Math.floor(seconds / 60) + " min";
    if (seconds < 172800) return Math.floor(seconds / 3600) + " h";
    return Math.floor(seconds / 86400) + " days";
  }

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    tradelake: {
      age: function (_ticks, moment) {
        const now = performance.now();
        if (moment.stamp !== stamp) {
          stamp = moment.stamp;
          received = now;
        }
        const since = (now - received) / 1000;
        if (since > SILENT_SECONDS) {
          const of = moment.at ? " The values are of " + moment.at + "." : "";
          return ["No answer from tradelake for " + lasted(since) + "." + of, "age silent"];
        }
        if (moment.at === null) return ["Waiting for the first commit", "age waiting"];
        const age = moment.age + since;
        const text = "Commit of " + moment.at + ", " + lasted(age) + " ago";
        if (age <= STALE_SECONDS) return [text, "age live"];
        return [text + ". Nothing new since: is the pipeline running?", "age stale"];
      },
    },
  });
})();
