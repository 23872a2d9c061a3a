//! The apps of a file, applied all together or not at all.

use std::path::{Path, PathBuf};

use kube::ResourceExt as _;
use kube::api::{DynamicObject, Patch, PatchParams};
use nodeapp_ecosystem::NO_IMAGE;
use nodeapp_operator::crd::NodeApp;
use serde_json::{Value, json};

use crate::change::{MANAGER, Step};
use crate::cluster::{Attempt, Cluster, told};
use crate::render::{documents, unlisted};
use crate::select::{RESOURCE, understood};
use crate::targets::FileArgs;
use crate::waiting::{Goal, Waiting};
use crate::{Outcome, import};

/// Endings of files with JavaScript in them.
const SCRIPTS: [&str; 7] = ["js", "cjs", "mjs", "ts", "tsx", "jsx", "coffee"];

/// The apps of all files, as they are to be applied. What became of PM2's options goes to standard error.
///
/// # Errors
/// When a file cannot be read, has something else, or an app that is refused.
pub(crate) fn read(files: &[PathBuf], args: &FileArgs) -> Result<Vec<Value>, String> {
    objects(files, args, true)
}

/// The same, where only their names are of interest.
///
/// # Errors
/// As before.
pub(crate) fn named(files: &[PathBuf]) -> Result<Vec<Value>, String> {
    objects(files, &FileArgs::default(), false)
}

fn objects(files: &[PathBuf], args: &FileArgs, tells: bool) -> Result<Vec<Value>, String> {
    let mut apps = Vec::new();
    for file in files {
        apps.extend(match manifests(file)? {
            Some(objects) => objects,
            None => of_pm2(file, args, tells)?,
        });
    }
    let name =
        |app: &Value| app.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let names: Vec<String> = apps.iter().map(name).collect();
    if let Some(missing) = args.only.iter().find(|only| !names.contains(*only)) {
        return Err(format!("--only {missing}: there is no such app; there are {}", names.join(", ")));
    }
    apps.retain(|app| args.only.is_empty() || args.only.contains(&name(app)));
    Ok(apps.iter().map(cleaned).collect())
}

/// The `NodeApps` of a file; none where it is one of PM2.
fn manifests(file: &Path) -> Result<Option<Vec<Value>>, String> {
    let is = |endings: &[&str]| file.extension().is_some_and(|it| endings.iter().any(|ending| it == *ending));
    if is(&SCRIPTS) {
        // PM2 tells a list of apps from a script by its name too.
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return if name.contains(".config.") { Ok(None) } else { Err(script(file)) };
    }
    if is(&["pm2"]) {
        return Ok(None);
    }
    let objects: Vec<Value> = match documents(file) {
        Ok(objects) => objects.into_iter().flat_map(unlisted).collect(),
        // PM2 allows comments in JSON. What is wrong with it otherwise is told by the import.
        Err(_) if is(&["json"]) && file.is_file() => return Ok(None),
        Err(error) => return Err(error),
    };
    if file != Path::new("-") && !objects.iter().any(|object| object["apiVersion"].is_string()) {
        return Ok(None);
    }
    for object in &objects {
        let is_app = object["kind"] == "NodeApp"
            && object["apiVersion"].as_str().is_some_and(|it| it.starts_with("nodeapp.dev/"));
        if !is_app {
            let what = |field: &str| object[field].as_str().unwrap_or("?");
            return Err(format!(
                "{}: {} {} is no NodeApp of nodeapp.dev; nothing was changed. Apply other kinds with kubectl apply -f",
                file.display(),
                what("apiVersion"),
                what("kind")
            ));
        }
        if object.pointer("/metadata/name").and_then(Value::as_str).is_none() {
            return Err(format!("{}: a NodeApp has no metadata.name; nothing was changed", file.display()));
        }
    }
    if objects.is_empty() {
        return Err(format!("{}: there is no NodeApp in it", file.display()));
    }
    Ok(Some(objects))
}

/// What to do with a script instead.
fn script(file: &Path) -> String {
    let file = file.display();
    format!(
        "{file} is a script, and here an app runs from an image: `init` writes a Dockerfile and a nodeapp.yaml for its \
         folder, with name, instances and everything else that PM2 takes as options; then `start nodeapp.yaml`. If it \
         is a list of apps, call it ecosystem.config.js"
    )
}

/// The apps of a file of PM2.
fn of_pm2(file: &Path, args: &FileArgs, tells: bool) -> Result<Vec<Value>, String> {
    let import = import::of_file(file, args.image.as_deref(), args.env.as_deref(), &args.workdir);
    let failed = import.report.has_failures() || import.apps.is_empty();
    if tells || failed {
        eprint!("{}", import.shown().text());
    }
    if failed {
        return Err(format!(
            "{}: not all of it can be imported, see above; nothing was changed",
            file.display()
        ));
    }
    Ok(import.apps.iter().filter_map(|app| serde_json::to_value(app).ok()).collect())
}

/// What of an object is the user's to say.
fn cleaned(app: &Value) -> Value {
    let kept = ["name", "namespace", "labels", "annotations"];
    let metadata = app["metadata"].as_object().into_iter().flatten();
    let metadata: serde_json::Map<String, Value> = metadata
        .filter(|(field, _)| kept.contains(&field.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    json!({"apiVersion": app["apiVersion"], "kind": "NodeApp", "metadata": metadata, "spec": app["spec"]})
}

/// As far as this version understands it.
fn typed(object: &Value) -> Option<NodeApp> {
    serde_json::from_value::<DynamicObject>(object.clone()).ok().map(understood)
}

impl Cluster {
    /// Applies apps if the API server takes all of them, and waits until they are ready. What is done to one that is
    /// as the file says already, `otherwise` says.
    ///
    /// # Errors
    /// When one is refused; then nothing is changed.
    pub(crate) async fn apply(
        &self,
        mut objects: Vec<Value>,
        waiting: &Waiting,
        otherwise: impl AsyncFn(&NodeApp) -> Result<Option<Step>, String>,
    ) -> Outcome {
        for object in &mut objects {
            if object.pointer("/metadata/namespace").is_none() {
                let Some(namespace) = &self.namespace else {
                    return Err("-A is no namespace to start an app in; give -n, or write it into the file"
                        .to_owned());
                };
                object["metadata"]["namespace"] = json!(namespace);
            }
            self.with_image(object).await?;
        }
        let pairs: Vec<(NodeApp, Value)> =
            objects.into_iter().filter_map(|object| Some((typed(&object)?, object))).collect();
        let mut refused = Vec::new();
        for (app, object) in &pairs {
            if let Err(error) = self.apply_one(app, object, true).await {
                refused.push(format!("{}: {error}", app.name_any()));
            }
        }
        if !refused.is_empty() {
            return Err(format!("{}; nothing was changed", refused.join("; ")));
        }
        let (apps, objects): (Vec<NodeApp>, Vec<Value>) = pairs.into_iter().unzip();
        let apply = async |app: &NodeApp| {
            let at = apps.iter().position(|other| std::ptr::eq(other, app)).unwrap_or_default();
            self.apply_and_start(app, &objects[at], &otherwise).await
        };
        self.carry_out(&apps, Some(waiting), apply).await
    }

    /// A file of PM2 names no image: that of the app in the cluster stays.
    async fn with_image(&self, object: &mut Value) -> Result<(), String> {
        let Some(app) = typed(object).filter(|app| app.spec.image == NO_IMAGE) else { return Ok(()) };
        let attempt =
            Attempt { verb: "get", resource: RESOURCE, namespace: app.metadata.namespace.as_deref() };
        let live = self.nodeapps_beside(&app).get_opt(&app.name_any()).await;
        let live = live.map_err(|error| told(&attempt, &error))?;
        let image = live.and_then(|live| live.data.pointer("/spec/image")?.as_str().map(str::to_owned));
        object["spec"]["image"] = json!(image.ok_or_else(|| format!(
            "a file of PM2 names no image, and {} is not in the cluster yet; give --image. `init` writes a Dockerfile \
             that builds one. Nothing was changed",
            app.name_any()
        ))?);
        Ok(())
    }

    async fn apply_and_start(
        &self,
        app: &NodeApp,
        object: &Value,
        otherwise: &impl AsyncFn(&NodeApp) -> Result<Option<Step>, String>,
    ) -> Result<Step, String> {
        let before = self.nodeapps_beside(app).get_opt(&app.name_any()).await.ok().flatten();
        let after = self.apply_one(app, object, false).await?;
        let goal = Goal::Ready(after.metadata.generation.unwrap_or(0));
        let applied = |done: &str| Ok(Step::Asked { goal: goal.clone(), done: done.to_owned() });
        let Some(before) = before else { return applied("created") };
        let after_all = understood(after.clone());
        if after_all.spec.stopped == Some(true) && object.pointer("/spec/stopped").is_none() {
            // `stop` has said so, and not the file.
            return self.start(&after_all).await;
        }
        let said = |object: &DynamicObject| (object.metadata.generation, object.labels().clone());
        if said(&before) != said(&after) || before.annotations() != after.annotations() {
            return applied("changed");
        }
        match otherwise(&after_all).await? {
            Some(step) => Ok(step),
            None => applied("is as the file says"),
        }
    }

    async fn apply_one(&self, app: &NodeApp, object: &Value, dry_run: bool) -> Result<DynamicObject, String> {
        let namespace = app.metadata.namespace.as_deref();
        let attempt = Attempt { verb: "patch", resource: RESOURCE, namespace };
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            force: true,
            dry_run,
            ..PatchParams::default()
        };
        let applied = self.nodeapps_beside(app).patch(&app.name_any(), &params, &Patch::Apply(object)).await;
        applied.map_err(|error| told(&attempt, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, text: &str) -> Result<Option<Vec<Value>>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("it is written");
        manifests(&file)
    }

    #[test]
    fn files_of_pm2_and_of_kubernetes_are_told_apart_by_what_is_in_them() {
        let app =
            "apiVersion: nodeapp.dev/v1alpha1\nkind: NodeApp\nmetadata: {name: shop}\nspec: {image: a}\n";
        assert_eq!(of("a.yaml", app).expect("apps").expect("manifests").len(), 1);
        assert_eq!(of("a.yaml", &format!("{app}---\n{app}")).expect("apps").expect("manifests").len(), 2);
        let script = of("app.js", "require('http')").expect_err("a script");
        assert!(script.contains("app.js is a script") && script.contains("`init`"), "{script}");
        for (name, text) in [
            ("a.config.js", "module.exports = {}"),
            ("a.yaml", "apps: [{script: a.js}]"),
            ("a.json", "{\"apps\": [ /* one */ {\"script\": \"a.js\"}]}"),
        ] {
            assert_eq!(of(name, text), Ok(None), "{text}");
        }
        let other = of("a.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\n").expect_err("no app");
        assert!(
            other.contains("v1 Secret is no NodeApp") && other.contains("nothing was changed"),
            "{other}"
        );
        assert!(of("a.yaml", "apiVersion: nodeapp.dev/v1alpha1\nkind: NodeApp\n").is_err());
    }

    #[test]
    fn what_the_cluster_wrote_into_an_object_is_not_asked_for() {
        let live = json!({"apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp", "spec": {"image": "a"}, "status": {},
            "metadata": {"name": "shop", "uid": "1", "resourceVersion": "7", "labels": {"team": "a"}}});
        let expected = json!({"apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp", "spec": {"image": "a"},
            "metadata": {"name": "shop", "labels": {"team": "a"}}});
        assert_eq!(cleaned(&live), expected);
    }
}
