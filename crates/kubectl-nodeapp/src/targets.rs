//! What `start`, `stop`, `restart`, `reload` and `delete` are about: apps by their names, and all that a file has.

use std::path::PathBuf;
use std::str::FromStr;

use kube::ResourceExt as _;
use nodeapp_operator::crd::NodeApp;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::select::Selector;

/// How a file is read. The flags are those of PM2, and `--image`, which PM2 does not know.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Files")]
pub(crate) struct FileArgs {
    /// Image of the apps in a file of PM2; if none, the one that each has in the cluster.
    #[arg(long)]
    pub(crate) image: Option<String>,
    /// Profile to select in a file of PM2, as in `pm2 start --env`.
    #[arg(long)]
    pub(crate) env: Option<String>,
    /// Where the apps of a file of PM2 lie in their image.
    #[arg(long, value_name = "DIR", default_value = WORKDIR)]
    pub(crate) workdir: String,
    /// Of a file, only these apps.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// PM2 needs it to take a new environment; here it is always that of the file, or of the spec.
    #[arg(long, short = 'a', hide = true)]
    update_env: bool,
}

const WORKDIR: &str = "/app";

impl Default for FileArgs {
    fn default() -> Self {
        Self { image: None, env: None, workdir: WORKDIR.to_owned(), only: Vec::new(), update_env: false }
    }
}

impl FileArgs {
    /// Says what a flag means where there is no file for it.
    ///
    /// # Errors
    /// Where it would be passed over although it asks for something.
    pub(crate) fn without_file(&self) -> Result<(), String> {
        if self.update_env {
            eprintln!("--update-env: the environment is always that of the spec; nothing to do for it");
        }
        let flags = [
            ("--image", self.image.is_some()),
            ("--env", self.env.is_some()),
            ("--only", !self.only.is_empty()),
        ];
        match flags.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((flag, _)) => Err(format!(
                "{flag} is about a file, and none is named; an app that is there takes another image or profile by \
                 its spec: kubectl edit nodeapp NAME"
            )),
        }
    }
}

/// Whether a word is a file: no name of an app has a `.` or a `/`, and a pattern has one at both ends.
fn is_file(word: &str) -> bool {
    let is_pattern = word.len() > 1 && word.starts_with('/') && word.ends_with('/');
    word == "-" || (!is_pattern && word.contains(['.', '/', '\\']))
}

/// What a word means.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    File(PathBuf),
    App(Selector),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if is_file(word) { Ok(Self::File(PathBuf::from(word))) } else { word.parse().map(Self::App) }
    }
}

/// Files and apps among what was named.
pub(crate) fn split(targets: &[Target]) -> (Vec<PathBuf>, Vec<Selector>) {
    let (mut files, mut apps) = (Vec::new(), Vec::new());
    for target in targets.iter().cloned() {
        match target {
            Target::File(file) => files.push(file),
            Target::App(selector) => apps.push(selector),
        }
    }
    (files, apps)
}

impl Cluster {
    /// The apps that are there of those that are named and those that files have, each once.
    ///
    /// # Errors
    /// When one is not there, with the names that are near; what the cluster refuses.
    pub(crate) async fn targeted(
        &self,
        names: &[Selector],
        objects: &[Value],
    ) -> Result<Vec<NodeApp>, String> {
        let mut apps = if names.is_empty() { Vec::new() } else { self.apps(names).await? };
        for object in objects {
            let text = |pointer| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            let name = [Selector::Name(text("/metadata/name").unwrap_or_default())];
            let namespace = text("/metadata/namespace").or_else(|| self.namespace.clone());
            for app in (Self { namespace, ..self.clone() }).apps(&name).await? {
                if !apps.iter().any(|known| known.uid() == app.uid()) {
                    apps.push(app);
                }
            }
        }
        Ok(apps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_from_names_by_how_they_look() {
        for file in ["nodeapp.yaml", "./shop", "deploy/shop", "-", "/etc/dump.pm2", "..\\shop.yaml"] {
            assert!(is_file(file), "{file}");
        }
        for name in ["shop", "all", "/^shop/", "/a.b/"] {
            assert!(!is_file(name), "{name}");
        }
        let of = |word: &str| word.parse::<Target>();
        let (files, names) = split(&[of("shop").expect("a name"), of("a.yaml").expect("a file")]);
        assert_eq!((files, names.len()), (vec![PathBuf::from("a.yaml")], 1));
        assert!(of("0").expect_err("a number of PM2").contains("by their name"));
    }

    #[test]
    fn a_flag_about_a_file_is_not_passed_over_where_there_is_none() {
        assert_eq!(FileArgs { update_env: true, ..FileArgs::default() }.without_file(), Ok(()));
        let env = FileArgs { env: Some("production".to_owned()), ..FileArgs::default() };
        assert!(env.without_file().expect_err("no file").starts_with("--env is about a file"));
    }
}
