//! Clusters that are not there, or know nothing of `NodeApp`s.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use crate::{folder, run};

/// A kubeconfig for what listens there.
fn kubeconfig(port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n\
         users: [{{name: u, user: {{}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u, namespace: web}}}}]\n"
    )
}

/// An API server without the definition of NodeApps, as far as it is asked; ends with the test.
fn without_nodeapps() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let mut lines = BufReader::new(connection.try_clone().unwrap()).lines().map_while(Result::ok);
            // One request for each connection; what is asked for does not matter.
            while lines.next().is_some_and(|line| !line.is_empty()) {}
            let body = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server could not find the requested resource","reason":"NotFound","details":{},"code":404}"#;
            let mut connection = connection;
            let _ = write!(
                connection,
                "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    port
}

#[test]
fn a_cluster_that_does_not_answer_is_told_from_one_without_the_operator() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let lines: [&[&str]; 4] = [&["ls"], &["stop", "shop"], &["describe", "shop"], &["doctor"]];
    for (port, words) in [(closed, "no cluster answers"), (without_nodeapps(), "install the operator first")]
    {
        let folder = folder(&[("config", &kubeconfig(port))]);
        for line in lines {
            let ran = run(&folder, &[line, &["--kubeconfig", "config"]].concat());
            assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{line:?}: {ran:?}");
            assert!(ran.err.starts_with("error: ") && ran.err.contains(words), "{line:?}: {ran:?}");
        }
    }
}

#[test]
fn a_kubeconfig_that_lacks_something_is_told_with_the_flags_that_name_another() {
    let folder = folder(&[("config", &kubeconfig(1)), ("broken", "clusters: {")]);
    for words in [
        &["--kubeconfig", "config", "--context", "nowhere"][..],
        &["--kubeconfig", "broken"],
        &["--kubeconfig", "none"],
        &[],
    ] {
        let ran = run(&folder, &[&["ls"][..], words].concat());
        assert_eq!(ran.code, Some(1), "{words:?}: {ran:?}");
        assert!(
            ran.err.contains("no cluster to ask") && ran.err.contains("--kubeconfig"),
            "{words:?}: {ran:?}"
        );
    }
}
