//! `history`: the revisions of an app.

use std::process::ExitCode;

use jiff::Timestamp;
use nodeapp_operator::crd::NodeAppStatus;

use crate::cluster::{Scope, wait_for};
use crate::revisions::Revision;
use crate::select::Selector;
use crate::state::full_name;
use crate::table::{Cell, Column, Screen, table};
use crate::words::age_of;
use crate::{Outcome, files};

/// List the revisions of apps: one for each spec that has concerned their pods.
///
/// `rollback --to` takes the number or the name. CHANGE is what the annotation kubernetes.io/change-cause said then.
///
/// Exit code: 0; 1 if the cluster refuses, or a name is that of no app.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Names, `all` or /regex/.
    #[arg(value_name = "NAME", required = true)]
    selectors: Vec<Selector>,
    #[command(flatten)]
    scope: Scope,
}

pub(crate) fn run(args: &Args) -> Outcome {
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let apps = cluster.apps(&args.selectors).await?;
        for (at, app) in apps.iter().enumerate() {
            let revisions = cluster.revisions(app).await?;
            if apps.len() > 1 {
                let gap = if at > 0 { "\n" } else { "" };
                files::print(&format!("{gap}{}\n", full_name(app, cluster.namespace.is_none())));
            }
            let status = app.status.clone().unwrap_or_default();
            files::print(&shown(&revisions, &status, Timestamp::now(), Screen::of_output()));
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The table, the newest first.
pub(crate) fn shown(
    revisions: &[Revision],
    status: &NodeAppStatus,
    now: Timestamp,
    screen: Screen,
) -> String {
    let columns = [("NUMBER", 0), ("NAME", 0), ("IMAGE", 2), ("AGE", 1), ("NOW", 0), ("CHANGE", 3)]
        .map(|(title, expendable)| Column { title, expendable });
    let row = |revision: &Revision| -> Vec<Cell> {
        vec![
            revision.number.to_string().into(),
            revision.name.as_str().into(),
            revision.image.as_str().into(),
            age_of(revision.created.as_deref(), now).into(),
            revision.role(status).into(),
            revision.cause.as_str().into(),
        ]
    };
    table(&columns, &revisions.iter().map(row).collect::<Vec<_>>(), screen)
}
