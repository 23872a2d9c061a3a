use super::*;

const PAGE: &str = r#"# A page

See [one](other.md#part) and ![a picture](a.svg), not `[code](no.md)`.

## `logs`, and [more](x.md)

<!-- run by: a_test -->
```console
$ kubectl nodeapp ls -o json | jq . > out.json   # all of them
[]
$ kubectl nodeapp scale shop \
    --timeout 9s && echo 'done; really'
```

## `logs`, and [more](x.md)

Use `kubectl nodeapp ls` or `ls`.

  ```yaml
  steps:
    - run: kubectl nodeapp wait "my shop"
  ```

| head | it |
|---|---|
| a \| b | c |
"#;

fn page() -> Page {
    Page { path: "a.md".to_owned(), text: PAGE.to_owned() }
}

#[test]
fn links_are_found_and_those_in_code_are_not() {
    let links = page().links();
    let targets: Vec<_> = links.iter().map(|link| (link.line, link.target.as_str())).collect();
    assert_eq!(targets, [(3, "other.md#part"), (3, "a.svg"), (5, "x.md"), (15, "x.md")]);
    assert_eq!(&PAGE[links[0].at.clone()], "other.md#part");
}

#[test]
fn headings_have_the_names_that_code_hosts_give_them() {
    let anchors: Vec<_> = page().anchors().into_iter().collect();
    assert_eq!(anchors, ["a-page", "logs-and-more", "logs-and-more-1"]);
}

#[test]
fn blocks_have_their_language_and_the_comment_before_them() {
    let blocks = page().blocks();
    assert_eq!(blocks.len(), 2);
    assert_eq!((blocks[0].line, blocks[0].language.as_str()), (9, "console"));
    assert_eq!(blocks[0].comment.as_deref(), Some("run by: a_test"));
    assert_eq!(blocks[1].text, "steps:\n  - run: kubectl nodeapp wait \"my shop\"\n");
}

#[test]
fn calls_are_found_in_sessions_jobs_and_sentences() {
    let calls = page().calls(&[&["kubectl", "nodeapp"]]);
    let words: Vec<_> = calls.iter().map(|call| (call.words.join(" "), call.whole)).collect();
    let expected =
        [("ls -o json", true), ("scale shop --timeout 9s", true), ("wait my shop", true), ("ls", false)];
    assert_eq!(words, expected.map(|(words, whole)| (words.to_owned(), whole)));
    assert_eq!(calls[3].place, "a.md:17");
}

#[test]
fn rows_of_a_table_are_found_by_their_heading() {
    assert_eq!(page().rows("`logs`, and [more](x.md)"), [["a | b", "c"]]);
    assert!(page().rows("A page").is_empty());
}

#[test]
fn lines_are_taken_apart_as_by_a_shell() {
    for (line, commands) in [
        ("a 'b c' \"d \\\" e\" f\\ g", vec![vec!["a", "b c", "d \" e", "f g"]]),
        ("source <(k completion bash)", vec![vec!["source"], vec!["k", "completion", "bash"]]),
        ("A=1 b 2>&1 >out c < in d", vec![vec!["b", "c", "d"]]),
        ("a --at $(date -u | tail) ''", vec![vec!["a", "--at", "$(date -u | tail)", ""]]),
        ("a; b || c # d\n# e\nf#g", vec![vec!["a"], vec!["b"], vec!["c"], vec!["f#g"]]),
    ] {
        assert_eq!(shell::commands(line), commands, "{line}");
    }
}

#[test]
fn pages_for_readers_are_found_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["README.md", "docs/a/b.md", "docs/c.txt", "examples/x.md", "charts/y.md", "target/z.md"] {
        let file = folder.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "# x").unwrap();
    }
    let found: Vec<_> = pages(folder.path()).unwrap().into_iter().map(|page| page.path).collect();
    assert_eq!(found, ["README.md", "charts/y.md", "docs/a/b.md", "examples/x.md"]);
}
