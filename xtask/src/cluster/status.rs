//! `cluster status` of a local cluster.

use std::fmt::Write;
use std::process::Command;

use super::cgroup::Groups;
use super::components;
use super::layout::Layout;
use super::{namespaces, process};
use crate::{cache, sh};

/// A row of the table.
struct Row {
    name: String,
    pid: Option<i32>,
    version: String,
    log: String,
}

/// The page `cluster status` prints, and whether everything lives.
pub(crate) fn page(layout: &Layout) -> (String, bool) {
    let rows = rows(layout);
    let healthy = layout.complete().exists() && rows.iter().all(|row| row.pid.is_some());
    let mut page = table(&rows);
    let _ = write!(
        page,
        "\nprocesses   {} in all, pods included\napi server  {}\nkubeconfig  {}\n",
        Groups::new(layout.control_group()).count(),
        layout.api_url(),
        layout.kubeconfig().display(),
    );
    if let Some(holder) = process::alive(layout, &namespaces::holder_name(0)) {
        let _ = writeln!(page, "look inside  nsenter --target {holder} --mount --net --wd=/");
    }
    if !healthy {
        let _ = writeln!(page, "\n`cargo xtask cluster up --name {}` repairs it", layout.name);
    }
    (page, healthy)
}

fn rows(layout: &Layout) -> Vec<Row> {
    let containerd = first_line(&["containerd", "--version"]);
    let holders = (0..layout.sets()).map(|node| (namespaces::holder_name(node), "namespaces".to_owned()));
    let daemons = components::all(layout).into_iter().map(|component| {
        let version = match component.name.as_str() {
            "etcd" => cache::ETCD.to_owned(),
            name if name.starts_with("containerd") => containerd.clone(),
            _ => cache::KUBERNETES.to_owned(),
        };
        (component.name, version)
    });
    holders
        .chain(daemons)
        .map(|(name, version)| Row {
            pid: process::alive(layout, &name),
            log: layout.log(&name).display().to_string(),
            name,
            version,
        })
        .collect()
}

fn table(rows: &[Row]) -> String {
    let mut text = format!("{:<26} {:<8} {:<22} {}\n", "COMPONENT", "PID", "VERSION", "LOG");
    for row in rows {
        let pid = row.pid.map_or_else(|| "dead".to_owned(), |pid| pid.to_string());
        let _ = writeln!(text, "{:<26} {pid:<8} {:<22} {}", row.name, row.version, row.log);
    }
    text
}

/// The version a program prints: the first word of its first line that begins like one.
fn first_line(command: &[&str]) -> String {
    let text = sh::output(Command::new(command[0]).args(&command[1..])).unwrap_or_default();
    version_in(&text).unwrap_or("?").to_owned()
}

fn version_in(text: &str) -> Option<&str> {
    text.lines().next()?.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_the_programs_print() {
        assert_eq!(
            version_in("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1"),
            Some("1.6.20~ds1")
        );
    }

    #[test]
    fn dead_component_says_so_and_names_its_log() {
        let row = Row { name: "etcd".into(), pid: None, version: "3".into(), log: "/l".into() };
        let line = table(&[row]).lines().nth(1).map(str::to_owned).expect("a line");
        assert!(line.contains("dead") && line.contains("/l"), "{line}");
    }
}
