//! Verbs where there is no cluster, no operator or no right.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::{Ran, TempDir, command, folder, ran};

/// Words of the command line that need an app.
const VERBS: [&[&str]; 8] = [
    &["describe", "web"],
    &["doctor", "web"],
    &["stop", "web"],
    &["logs", "web", "--nostream"],
    &["report", "web"],
    &["dev", ".", "web"],
    &["inspect", "web", "--port", "0"],
    &["heap-snapshot", "web"],
];

/// An API server that has one answer to everything.
fn server(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            answer(connection.unwrap(), status, body);
        }
    });
    format!("http://{address}")
}

fn answer(mut connection: TcpStream, status: &str, body: &str) {
    let head = BufReader::new(connection.try_clone().unwrap()).lines();
    head.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    let _ = connection.write_all(answer.as_bytes());
}

fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: a, cluster: {{server: '{server}'}}}}]\n\
         users: [{{name: a, user: {{}}}}]\ncontexts: [{{name: a, context: {{cluster: a, user: a, namespace: web}}}}]\n"
    )
}

fn refused(folder: &TempDir, args: &[&str], kubeconfig: &str) -> String {
    let Ran { code, out, err } =
        ran(command(folder, args).env("KUBECONFIG", folder.path().join(kubeconfig)).output().unwrap());
    assert_eq!((code, &*out), (Some(1), ""), "{args:?}: {err}");
    err
}

#[test]
fn a_cluster_that_does_not_answer_or_has_no_operator_or_refuses_is_told_by_every_verb() {
    let forbidden = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,
        "message":"nodeapps.nodeapp.dev is forbidden: User \"ann\" cannot get resource"}"#;
    let folder = folder(&[
        ("nobody.yaml", &kubeconfig("http://127.0.0.1:1")),
        ("no-operator.yaml", &kubeconfig(&server("404 Not Found", "404 page not found\n"))),
        ("no-right.yaml", &kubeconfig(&server("403 Forbidden", forbidden))),
    ]);
    for verb in VERBS {
        let nobody = refused(&folder, verb, "nobody.yaml");
        assert!(nobody.contains("no cluster answers"), "{verb:?}: {nobody}");
        let operator = refused(&folder, verb, "no-operator.yaml");
        assert!(operator.contains("install the operator first"), "{verb:?}: {operator}");
        let right = refused(&folder, verb, "no-right.yaml");
        assert!(right.contains("you may not get nodeapps.nodeapp.dev in namespace web"), "{verb:?}: {right}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "something was written");
}

#[test]
fn a_kubeconfig_that_cannot_be_read_is_named_and_leads_to_no_other_cluster() {
    let folder = folder(&[("broken.yaml", "not: [yaml")]);
    for (file, part) in [("broken.yaml", "parse"), ("missing.yaml", "No such file")] {
        let told = refused(&folder, &["logs"], file);
        assert!(told.contains(file) && told.contains(part), "{told}");
        let args = ["logs", "--kubeconfig", file];
        let Ran { err, .. } = ran(command(&folder, &args).output().unwrap());
        assert!(err.contains(file) && err.contains(part), "{err}");
    }
    let home = |files: &[(&str, &str)]| {
        let home = super::folder(&[]);
        for (name, text) in files {
            std::fs::create_dir_all(home.path().join(".kube")).unwrap();
            std::fs::write(home.path().join(name), text).unwrap();
        }
        ran(command(&home, &["logs"]).env("HOME", home.path()).env("KUBECONFIG", "").output().unwrap()).err
    };
    let none = home(&[]);
    assert!(none.contains("there is no kubeconfig, and this is no pod"), "{none}");
    let broken = home(&[(".kube/config", "not: [yaml")]);
    assert!(broken.contains("~/.kube/config") && !broken.contains("there is no kubeconfig"), "{broken}");
}
