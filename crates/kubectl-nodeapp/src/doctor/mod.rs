//! `doctor`: the production checklist, with the command that mends each thing.

mod checks;
pub(crate) mod facts;
mod gather;
mod histogram;
mod line;
mod may;
mod select;
mod tell;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use kube::ResourceExt;
use nodeapp_operator::crd::NodeApp;
use serde_json::json;

use self::facts::{AUDITED_ANNOTATION, Audited};
use self::line::{Line, Verdict};
use crate::Outcome;
use crate::cluster::{Cluster, Scope, wait_for};
use crate::select::Selector;
use crate::table::Screen;

/// Check an app and its cluster against the production checklist.
///
/// Each line says pass, warn or fail, why, and gives the one command that mends it. fail: it is broken, or requests are
/// lost at the next stop. warn: it works, but something that protects it is missing or not known. Exit code 0: no fail;
/// 1: a fail, with --strict also a warn.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Apps: names, `all` or `/regex/`; all of the namespace if none is given.
    #[arg(value_name = "APP")]
    apps: Vec<Selector>,
    /// Audit the source of the app in this folder for state that its instances do not share.
    #[arg(long, value_name = "DIR")]
    audit: Option<PathBuf>,
    /// Write on the NodeApp how the audit came out, so that it counts for as long as the image is the same.
    #[arg(long, requires = "audit")]
    record: bool,
    /// A warn fails too.
    #[arg(long)]
    strict: bool,
    /// How to tell.
    #[arg(long, short, value_enum, default_value_t = Format::Text)]
    output: Format,
    #[command(flatten)]
    scope: Scope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// An app with what was found.
pub(crate) struct Checked {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) lines: Vec<Line>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let audit = args.audit.as_deref().map(gather::audit).transpose()?;
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let all = [Selector::All];
        let selectors = if args.apps.is_empty() { &all[..] } else { &args.apps };
        let apps = cluster.apps(selectors).await?;
        if let (Some(_), [first, second, ..]) = (&args.audit, &apps[..]) {
            return Err(format!(
                "--audit is about the source of one app, and these are several ({}, {}); name one",
                first.name_any(),
                second.name_any()
            ));
        }
        let installation = gather::installation(&cluster).await;
        let (mut checked, mut rights) = (Vec::new(), HashMap::new());
        for app in apps {
            let (namespace, name) = (app.namespace().unwrap_or_default(), app.name_any());
            let audit = audit.clone().map(|audit| Audited { image: app.spec.image.clone(), ..audit });
            if let Some(audit) = audit.as_ref().filter(|_| args.record) {
                record(&cluster, &app, audit).await?;
            }
            let flags = args.scope.repeated(&namespace);
            let may = match rights.get(&namespace) {
                Some(known) => Clone::clone(known),
                None => gather::rights(&cluster, &namespace).await,
            };
            rights.insert(namespace.clone(), may.clone());
            let facts = gather::facts(&cluster, app, flags, (installation.clone(), may), audit);
            let facts = Box::pin(facts).await;
            checked.push(Checked { namespace, name, lines: checks::findings(&facts) });
        }
        match args.output {
            Format::Text => crate::files::print(&tell::text(&checked, Screen::of_output())),
            Format::Json => crate::files::print(&tell::json(&checked)),
        }
        Ok(ExitCode::from(u8::from(is_ill(&checked, args.strict))))
    })
}

fn is_ill(checked: &[Checked], strict: bool) -> bool {
    let line = if strict { Verdict::Warn } else { Verdict::Fail };
    checked.iter().flat_map(|app| &app.lines).any(|it| it.verdict >= line)
}

/// Writes on an app how the audit of its source came out.
async fn record(cluster: &Cluster, app: &NodeApp, audit: &Audited) -> Result<(), String> {
    let text = serde_json::to_string(audit).map_err(|error| error.to_string())?;
    annotate(cluster, app, AUDITED_ANNOTATION, &text).await
}

/// Sets an annotation of a NodeApp.
///
/// # Errors
/// What the cluster refuses, in words.
pub(crate) async fn annotate(
    cluster: &Cluster,
    app: &NodeApp,
    name: &str,
    value: &str,
) -> Result<(), String> {
    cluster.patch(app, &json!({"metadata": {"annotations": {name: value}}})).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_fails_only_where_it_is_asked_to() {
        let with =
            |line: Line| vec![Checked { namespace: "web".into(), name: "shop".into(), lines: vec![line] }];
        assert!(!is_ill(&with(Line::pass("state", "well")), true));
        assert!(!is_ill(&with(Line::warn("state", "so", String::new())), false));
        assert!(is_ill(&with(Line::warn("state", "so", String::new())), true));
        assert!(is_ill(&with(Line::fail("state", "ill", String::new())), false));
    }
}
