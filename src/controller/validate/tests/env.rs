use super::*;

fn profiles(profile: &str) -> Value {
    json!({
        "profile": profile,
        "env": [{"name": "HOST", "value": "local"}, {"name": "URL", "value": "http://$(HOST)"}],
        "envProfiles": {
            "production": [{"name": "NEW", "value": "1"}, {"name": "HOST", "value": "prod"}],
            "staging": [{"name": "HOST", "value": "stage"}],
        },
    })
}

fn env(spec: &Value) -> Vec<String> {
    let pair =
        |variable: &EnvVar| format!("{}={}", variable.name, variable.value.as_deref().unwrap_or_default());
    valid(spec).env.iter().map(pair).collect()
}

#[test]
fn a_profile_is_laid_over_env_and_what_it_replaces_keeps_its_place() {
    assert_eq!(env(&profiles("production")), ["HOST=prod", "URL=http://$(HOST)", "NEW=1"]);
    assert_eq!(env(&profiles("staging")), ["HOST=stage", "URL=http://$(HOST)"]);
    let mut none = profiles("production");
    none.as_object_mut().unwrap().remove("profile");
    assert_eq!(env(&none), ["HOST=local", "URL=http://$(HOST)"]);
}

#[test]
fn a_profile_that_is_not_there_is_refused_with_those_that_are() {
    let said = problem(&profiles("prod"));
    assert!(
        said.starts_with("spec.profile: prod is none of spec.envProfiles (production, staging)"),
        "{said}"
    );
    let said = problem(&json!({"profile": "prod"}));
    assert!(said.contains("(there are none)"), "{said}");
}

#[test]
fn a_profile_that_is_not_in_force_changes_no_pod_but_must_be_in_order() {
    let source = |spec: &Value| valid(spec).source_text();
    let mut other = profiles("production");
    other["envProfiles"]["staging"] = json!([{"name": "HOST", "value": "elsewhere"}]);
    assert_eq!(source(&profiles("production")), source(&other));
    assert_ne!(source(&profiles("production")), source(&profiles("staging")));
    let unused = json!({"envProfiles": {"a": [{"name": "A"}]}});
    assert_eq!(source(&json!({})), source(&unused));
    other["envProfiles"]["staging"] = json!([{"name": "HOST"}, {"name": "HOST"}]);
    assert_eq!(problems(&other), ["spec.envProfiles.staging[1].name"]);
    assert_eq!(problems(&json!({"envProfiles": {"a b": []}})), ["spec.envProfiles.a b"]);
}

#[test]
fn the_port_of_a_profile_must_be_the_port_of_the_spec() {
    let with = |port: &str, base: &str| {
        json!({
            "port": 3000,
            "profile": "production",
            "env": [{"name": "PORT", "value": base}],
            "envProfiles": {"production": [{"name": "PORT", "value": port}]},
        })
    };
    valid(&with("3000", "8080"));
    assert_eq!(problems(&with("8080", "3000")), ["spec.envProfiles.production[0].value"]);
    // One that is not in force says nothing.
    let mut other = with("8080", "3000");
    other["profile"] = "staging".into();
    other["envProfiles"]["staging"] = json!([]);
    valid(&other);
}
