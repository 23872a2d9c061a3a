//! Words of PM2 that are no verbs here: each is answered by one line, why it is not needed or what to use.

use std::process::ExitCode;

use crate::{Outcome, files};

/// What needs no doing here, and why. Sorted.
#[rustfmt::skip] // One line per word.
const NEEDLESS: &[(&str, &str)] = &[
    ("autoinstall", "there are no modules to install: log rotation and metrics are built in"),
    ("cleardump", "there is no dump to clear: the cluster keeps what was applied, and `delete NAME` takes it away"),
    ("dump", "nothing to save: the cluster keeps what was applied, and brings it back after a restart of a machine"),
    ("install", "there are no modules to install: log rotation is `logRotate` in the spec, metrics are built in"),
    ("logrotate", "the runner rotates its own log files: `logRotate` in the spec"),
    ("module", "there are no modules: log rotation and metrics are built in"),
    ("reloadLogs", "the runner rotates its own log files and loses no line; by hand: kubectl exec POD -c app -- /nodeapp/bin/nodeapp-runner ctl reopen-logs"),
    ("reloadLogsSilently", "the runner rotates its own log files and loses no line; by hand: kubectl exec POD -c app -- /nodeapp/bin/nodeapp-runner ctl reopen-logs"),
    ("resurrect", "nothing to bring back: the cluster runs what was applied, also after a restart of a machine"),
    ("save", "nothing to save: the cluster keeps what was applied, and brings it back after a restart of a machine"),
    ("startup", "nothing to install: the cluster starts apps when a machine starts, elsewhere if it does not"),
    ("uninstall", "there are no modules to remove: log rotation and metrics are built in"),
    ("unlink", "PM2 Plus is a service of PM2's makers, and nothing is linked to it"),
    ("unstartup", "nothing to remove: the cluster starts apps, not the machine's init; `stop NAME` keeps one from starting"),
];

/// What is done in another way, and how. Sorted.
#[rustfmt::skip] // One line per word.
const OTHERWISE: &[(&str, &str)] = &[
    ("attach", "standard input of an app is closed here; `trigger NAME ACTION` talks to it, `send-signal` signals it"),
    ("backward", "`rollback NAME` runs the revision before; `history NAME` lists them"),
    ("conf", "settings are fields of each app's spec: kubectl explain nodeapp.spec"),
    ("config", "settings are fields of each app's spec: kubectl explain nodeapp.spec"),
    ("create", "`init` writes a NodeApp for the folder; then `start nodeapp.yaml`"),
    ("deepUpdate", "there is no daemon: upgrade the operator with helm upgrade, which restarts no app"),
    ("deploy", "a CI job builds an image and applies the NodeApp: `init` writes one; a failed rollout stops by itself"),
    ("ecosystem", "`init` writes what a folder needs; `import` turns an ecosystem file into NodeApps"),
    ("examples", "`--help` of each verb has examples; docs/kubectl.md has them all"),
    ("expose", "static files are served by an image of their own, such as nginx, in a Deployment or behind the app's port"),
    ("forward", "set `image` to the newer one, by commit; `rollback NAME --to N` goes to any revision of `history NAME`"),
    ("get", "settings are fields of each app's spec: kubectl get nodeapp NAME -o yaml"),
    ("id", "apps are named by their names, and each instance is a pod: `describe NAME` lists them"),
    ("interact", "PM2 Plus is a service of PM2's makers; metrics are Prometheus' here, at port 9615 of each pod"),
    ("kill", "there is no daemon to kill: `stop all` stops the apps, helm uninstall removes the operator and leaves them running"),
    ("link", "PM2 Plus is a service of PM2's makers; metrics are Prometheus' here, at port 9615 of each pod"),
    ("login", "PM2 Plus is a service of PM2's makers; who may do what is Kubernetes' RBAC here: kubectl auth whoami"),
    ("logout", "PM2 Plus is a service of PM2's makers; who may do what is Kubernetes' RBAC here: kubectl auth whoami"),
    ("monitor", "PM2 Plus is a service of PM2's makers; metrics are Prometheus' here, at port 9615 of each pod; `monit` shows them"),
    ("multiset", "settings are fields of each app's spec: kubectl edit nodeapp NAME"),
    ("open", "PM2 Plus is a service of PM2's makers; metrics are Prometheus' here, at port 9615 of each pod"),
    ("package", "there are no modules to package"),
    ("pid", "each instance is a pod; `describe NAME` shows the process id inside of each"),
    ("ping", "there is no daemon to ping; `version` asks the cluster and the operator"),
    ("plus", "PM2 Plus is a service of PM2's makers; metrics are Prometheus' here, at port 9615 of each pod"),
    ("publish", "there are no modules to publish"),
    ("pull", "set `image` to another commit's: a rollout replaces the instances, `rollback NAME` goes back"),
    ("register", "PM2 Plus is a service of PM2's makers; metrics are Prometheus' here, at port 9615 of each pod"),
    ("send", "standard input of an app is closed here; `trigger NAME ACTION` talks to it, `send-signal` signals it"),
    ("serve", "static files are served by an image of their own, such as nginx, in a Deployment or behind the app's port"),
    ("set", "settings are fields of each app's spec: kubectl edit nodeapp NAME"),
    ("slist", "machines are nodes here: kubectl top nodes, kubectl describe node NAME"),
    ("sysinfos", "machines are nodes here: kubectl top nodes, kubectl describe node NAME"),
    ("sysmonit", "machines are nodes here: kubectl top nodes, kubectl describe node NAME"),
    ("unmonitor", "PM2 Plus is a service of PM2's makers; metrics are Prometheus' here, at port 9615 of each pod"),
    ("unset", "settings are fields of each app's spec: kubectl edit nodeapp NAME"),
    ("update", "there is no daemon to update: upgrade the operator with helm upgrade, which restarts no app"),
    ("updatePM2", "there is no daemon to update: upgrade the operator with helm upgrade, which restarts no app"),
    ("web", "metrics are Prometheus' here, at port 9615 of each pod; `jlist` has what PM2's web interface has"),
];

/// Options of PM2's start that are fields here.
const OPTIONS: &[&str] = &[
    "--cron",
    "--cron-restart",
    "--cwd",
    "--error",
    "--exp-backoff-restart-delay",
    "--instances",
    "--interpreter",
    "--interpreter-args",
    "--kill-timeout",
    "--listen-timeout",
    "--log",
    "--log-date-format",
    "--max-memory-restart",
    "--max-restarts",
    "--merge-logs",
    "--name",
    "--no-autorestart",
    "--node-args",
    "--output",
    "--restart-delay",
    "--time",
    "--wait-ready",
    "--watch",
    "-i",
];

/// What to say of an option of PM2 that a verb which starts something does not take.
pub(crate) fn option_hint(verb: &str, told: &str) -> Option<String> {
    let starts = ["start", "startOrReload", "startOrRestart", "restart", "reload"];
    let option = OPTIONS.iter().find(|option| told.contains(&format!("'{option}'")))?;
    let dev = if *option == "--watch" { ". To run a folder while you change it: `dev . NAME`" } else { "" };
    starts.contains(&verb).then(|| {
        format!(
            "`{option}` is a field of the app here: `init` writes a nodeapp.yaml for its folder, `start nodeapp.yaml` \
             runs what is in it, `scale NAME N` changes the number of instances{dev}"
        )
    })
}

/// What a setting of pm2-logrotate is here.
fn logrotate(setting: &str, value: Option<&str>) -> Option<String> {
    let field = match setting.strip_prefix("pm2-logrotate:")? {
        "max_size" => "maxSize",
        "retain" => "retain",
        "compress" => "compress",
        "rotateInterval" => "rotateInterval",
        "dateFormat" => "dateFormat",
        _ => return None,
    };
    let value = value.unwrap_or("…");
    let is_bare = matches!(value, "true" | "false") || value.bytes().all(|byte| byte.is_ascii_digit());
    let value = if is_bare { value.to_owned() } else { format!("\"{value}\"") };
    Some(format!(
        "log rotation is a field of each app: kubectl patch nodeapp NAME --type merge -p \
         '{{\"spec\":{{\"logRotate\":{{\"{field}\":{value}}}}}}}'"
    ))
}

/// Answers a word that is no verb. What needs no doing is done with that, and succeeds.
///
/// # Errors
/// How it is done here; or, when it is no word of PM2 either, the verbs that are near.
pub(crate) fn answer(words: &[String], verbs: &[String]) -> Outcome {
    let word = words.first().map_or("", String::as_str);
    // `module:install` and the like are all about modules.
    let known = word.split_once(':').map_or(word, |(before, _)| before);
    let find =
        |words: &'static [(&str, &str)]| words.iter().find(|(name, _)| name.eq_ignore_ascii_case(known));
    if let Some((word, answer)) = find(NEEDLESS) {
        files::say(&format!("{word}: {answer}"));
        return Ok(ExitCode::SUCCESS);
    }
    let after = |at: usize| words.get(at).map(String::as_str);
    if let (true, Some(answer)) = (word == "set", after(1).and_then(|setting| logrotate(setting, after(2)))) {
        return Err(format!("set: {answer}"));
    }
    if let Some((word, answer)) = find(OTHERWISE) {
        // A script has not got what it asked for.
        return Err(format!("{word}: {answer}"));
    }
    let near = |verb: &&String| strsim::damerau_levenshtein(word, verb) <= word.len().div_ceil(3);
    let near: Vec<&str> = verbs.iter().filter(near).map(String::as_str).collect();
    let hint = if near.is_empty() {
        "--help lists them".to_owned()
    } else {
        format!("did you mean {}?", near.join(", "))
    };
    Err(format!("`{word}` is no verb; {hint}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// Every command of PM2 7.0 with its aliases, and those of versions before that people still type.
    const PM2: &str = "start trigger deploy startOrRestart startOrReload pid create startOrGracefulReload stop restart \
        scale profile:mem profile:cpu reload id inspect delete del sendSignal ping updatePM2 update install \
        module:install module:update module:generate uninstall module:uninstall package publish module:publish set \
        multiset get conf config unset report link unlink monitor unmonitor open plus register login logout dump save \
        cleardump send attach resurrect unstartup startup logrotate ecosystem init reset describe desc info show env \
        list ls l ps status jlist sysmonit slist sysinfos prettylist monit imonit dashboard dash flush reloadLogs \
        reloadLogsSilently logs log kill pull forward backward deepUpdate serve expose autoinstall examples completion \
        gracefulReload interact web";

    #[test]
    fn every_command_of_pm2_is_a_verb_or_is_answered() {
        let verbs = crate::names(&crate::Arguments::command());
        for word in PM2.split_whitespace() {
            let is_verb = verbs.iter().any(|verb| verb == word);
            let answered = answer(&[word.to_owned()], &verbs);
            assert!(
                is_verb || !answered.is_err_and(|told| told.contains("no verb")),
                "{word} is not answered"
            );
        }
        let near = answer(&["relaod".to_owned()], &verbs).expect_err("no verb");
        assert!(near.contains("did you mean reload"), "{near}");
        assert!(answer(&["frobnicate".to_owned()], &verbs).expect_err("no verb").contains("--help"));
    }

    #[test]
    fn options_and_settings_of_pm2_are_answered_with_their_fields() {
        let told = "error: unexpected argument '--name' found";
        assert!(option_hint("start", told).expect("a hint").contains("`--name` is a field of the app"));
        assert_eq!(option_hint("logs", told), None);
        assert_eq!(option_hint("start", "error: unexpected argument '--colour' found"), None);
        let set = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            answer(&words, &[]).expect_err("a script has not got what it asked for")
        };
        let size = set(&["set", "pm2-logrotate:max_size", "10M"]);
        assert!(size.ends_with(r#"-p '{"spec":{"logRotate":{"maxSize":"10M"}}}'"#), "{size}");
        let retain = set(&["set", "pm2-logrotate:retain", "7"]);
        assert!(retain.contains(r#"{"retain":7}"#), "{retain}");
    }

    #[test]
    fn words_are_sorted_and_answered_in_one_line() {
        for words in [NEEDLESS, OTHERWISE] {
            assert!(words.is_sorted_by_key(|(word, _)| word.to_lowercase()), "not sorted");
        }
        for (word, answer) in NEEDLESS.iter().chain(OTHERWISE) {
            assert!(!answer.contains('\n') && answer.len() > 20 && !answer.ends_with('.'), "{word}");
        }
    }
}
