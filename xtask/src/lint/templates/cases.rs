//! The cases of [`super`], template by template.

use super::Case;
use super::Expect::{Args, Has, Kinds, Nothing};

const TWO: &[&str] = &["replicas=2"];

pub(super) const ALL: &[Case] = &[
    Case {
        story: "a digest pins the image",
        template: "deployment.yaml",
        set: &[r#"image.digest="sha256:1111111111111111111111111111111111111111111111111111111111111111""#],
        expect: Has(
            "Deployment",
            &[(
                "/spec/template/spec/containers/0/image",
                r#""nodeapp/nodeapp-operator:0.1.0@sha256:1111111111111111111111111111111111111111111111111111111111111111""#,
            )],
        ),
    },
    Case {
        story: "so the operator is told which images pods of apps are made of",
        template: "deployment.yaml",
        set: &[
            r#"runner.image.digest="sha256:2222222222222222222222222222222222222222222222222222222222222222""#,
            r#"forwarder.image.repository="r.example/f""#,
            r#"forwarder.image.tag="7""#,
            r#"redis.image.tag="9.9""#,
        ],
        expect: Args(&[
            "run",
            "--listen=0.0.0.0:8080",
            "--log-format=json",
            "--runner-image=nodeapp/nodeapp-runner:0.1.0@sha256:2222222222222222222222222222222222222222222222222222222222222222",
            "--forwarder-image=r.example/f:7",
            "--redis-image=docker.io/valkey/valkey:9.9",
            "--lease=nodeapp-operator",
        ]),
    },
    Case {
        story: "namespaces, Secrets and pull secrets reach the operator as arguments",
        template: "deployment.yaml",
        set: &[
            r#"namespaces=["shop", "blog"]"#,
            "rollout.onSecretChange=true",
            r#"apps.imagePullSecrets=[{"name": "registry"}, {"name": "mirror"}]"#,
        ],
        expect: Args(&[
            "--image-pull-secret=registry",
            "--image-pull-secret=mirror",
            "--watch-secrets",
            "--namespace=shop,blog",
        ]),
    },
    Case {
        story: "the operator's own pull secrets are those of its pod",
        template: "deployment.yaml",
        set: &[r#"imagePullSecrets=[{"name": "registry"}]"#],
        expect: Has("Deployment", &[("/spec/template/spec/imagePullSecrets", r#"[{"name": "registry"}]"#)]),
    },
    Case {
        story: "the pod meets the Pod Security level restricted, and says so itself",
        template: "deployment.yaml",
        set: &[],
        expect: Has(
            "Deployment",
            &[
                (
                    "/spec/template/spec/securityContext",
                    r#"{"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}}"#,
                ),
                (
                    "/spec/template/spec/containers/0/securityContext",
                    r#"{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}"#,
                ),
                ("/spec/template/spec/topologySpreadConstraints", ""),
                ("/spec/template/spec/priorityClassName", ""),
            ],
        ),
    },
    Case {
        story: "two operators are put on different nodes where nothing else is said",
        template: "deployment.yaml",
        set: TWO,
        expect: Has(
            "Deployment",
            &[
                ("/spec/replicas", "2"),
                (
                    "/spec/template/spec/topologySpreadConstraints",
                    r#"[{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
                         "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "nodeapp-operator", "app.kubernetes.io/instance": "nodeapp-operator"}}}]"#,
                ),
            ],
        ),
    },
    Case {
        story: "constraints of one's own are about the operators unless they say about whom",
        template: "deployment.yaml",
        set: &[
            r#"topologySpreadConstraints=[{"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule"},
                {"maxSkew": 2, "topologyKey": "b", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"c": "d"}}}]"#,
        ],
        expect: Has(
            "Deployment",
            &[
                (
                    "/spec/template/spec/topologySpreadConstraints/0/labelSelector",
                    r#"{"matchLabels": {"app.kubernetes.io/name": "nodeapp-operator", "app.kubernetes.io/instance": "nodeapp-operator"}}"#,
                ),
                (
                    "/spec/template/spec/topologySpreadConstraints/1/labelSelector",
                    r#"{"matchLabels": {"c": "d"}}"#,
                ),
            ],
        ),
    },
    Case {
        story: "labels of one's own are added, and never take the place of those that select the pod",
        template: "deployment.yaml",
        set: &[
            r#"commonLabels={"team": "web"}"#,
            r#"podLabels={"tier": "ops", "app.kubernetes.io/name": "other"}"#,
        ],
        expect: Has(
            "Deployment",
            &[
                ("/metadata/labels/team", r#""web""#),
                ("/spec/template/metadata/labels/team", r#""web""#),
                ("/spec/template/metadata/labels/tier", r#""ops""#),
                ("/spec/template/metadata/labels/app.kubernetes.io~1name", r#""nodeapp-operator""#),
                (
                    "/spec/selector/matchLabels",
                    r#"{"app.kubernetes.io/name": "nodeapp-operator", "app.kubernetes.io/instance": "nodeapp-operator"}"#,
                ),
            ],
        ),
    },
    Case {
        story: "a single operator has no budget, which would only keep its node from being drained",
        template: "poddisruptionbudget.yaml",
        set: &[],
        expect: Nothing,
    },
    Case {
        story: "two operators have one, for whichever can be taken away",
        template: "poddisruptionbudget.yaml",
        set: &["replicas=2", r#"podDisruptionBudget.maxUnavailable="50%""#],
        expect: Has(
            "PodDisruptionBudget",
            &[
                ("/spec/maxUnavailable", r#""50%""#),
                ("/spec/unhealthyPodEvictionPolicy", r#""AlwaysAllow""#),
                ("/spec/selector/matchLabels/app.kubernetes.io~1instance", r#""nodeapp-operator""#),
            ],
        ),
    },
    Case {
        story: "it can be left out",
        template: "poddisruptionbudget.yaml",
        set: &["replicas=2", "podDisruptionBudget.enabled=false"],
        expect: Nothing,
    },
    Case {
        story: "no policy unless it is asked for",
        template: "networkpolicy.yaml",
        set: &[],
        expect: Nothing,
    },
    Case {
        story: "metrics are for everybody, runners are reached in all namespaces",
        template: "networkpolicy.yaml",
        set: &["networkPolicy.enabled=true"],
        expect: Has(
            "NetworkPolicy",
            &[
                ("/spec/policyTypes", r#"["Ingress", "Egress"]"#),
                ("/spec/ingress/0/ports", r#"[{"protocol": "TCP", "port": "http"}]"#),
                ("/spec/ingress/0/from", ""),
                (
                    "/spec/egress/0/ports",
                    r#"[{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 6443}]"#,
                ),
                ("/spec/egress/2/ports/0/port", "9615"),
                ("/spec/egress/2/to/0/namespaceSelector", "{}"),
            ],
        ),
    },
    Case {
        story: "who may ask is said by `from`, and `helm test` may always",
        template: "networkpolicy.yaml",
        set: &[
            "networkPolicy.enabled=true",
            r#"networkPolicy.from=[{"namespaceSelector": {"matchLabels": {"a": "b"}}}]"#,
            "networkPolicy.apiServerPorts=[16443]",
            r#"namespaces=["shop"]"#,
        ],
        expect: Has(
            "NetworkPolicy",
            &[
                ("/spec/ingress/0/from/0", r#"{"namespaceSelector": {"matchLabels": {"a": "b"}}}"#),
                (
                    "/spec/ingress/0/from/1/podSelector/matchLabels/app.kubernetes.io~1name",
                    r#""nodeapp-operator-test""#,
                ),
                ("/spec/egress/0/ports", r#"[{"protocol": "TCP", "port": 16443}]"#),
                ("/spec/egress/2/to/0/namespaceSelector/matchExpressions/0/values", r#"["shop"]"#),
            ],
        ),
    },
    Case {
        story: "the test asks the Service, under no account, and is no pod of the operator's",
        template: "tests/ready.yaml",
        set: &[],
        expect: Has(
            "Pod",
            &[
                ("/metadata/annotations/helm.sh~1hook", r#""test""#),
                ("/metadata/labels/app.kubernetes.io~1name", r#""nodeapp-operator-test""#),
                ("/spec/automountServiceAccountToken", "false"),
                (
                    "/spec/containers/0/args",
                    r#"["ready", "--address=nodeapp-operator.nodeapp-system.svc:8080"]"#,
                ),
                ("/spec/securityContext/runAsNonRoot", "true"),
                ("/spec/containers/0/securityContext/capabilities", r#"{"drop": ["ALL"]}"#),
            ],
        ),
    },
    Case {
        story: "without a Service there is nobody to ask",
        template: "tests/ready.yaml",
        set: &["service.create=false"],
        expect: Nothing,
    },
    Case {
        story: "objects of one's own come along, as objects and as texts with templates",
        template: "extraobjects.yaml",
        set: &[r#"extraObjects=[{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}},
                "apiVersion: v1\nkind: Secret\nmetadata: {name: \"{{ .Release.Name }}-b\"}"]"#],
        expect: Has("Secret", &[("/metadata/name", r#""nodeapp-operator-b""#)]),
    },
    Case { story: "none by itself", template: "extraobjects.yaml", set: &[], expect: Nothing },
    Case {
        story: "the account brings no token into pods that do not ask for it",
        template: "serviceaccount.yaml",
        set: &[r#"serviceAccount.annotations={"a": "b"}"#],
        expect: Has(
            "ServiceAccount",
            &[("/automountServiceAccountToken", "false"), ("/metadata/annotations", r#"{"a": "b"}"#)],
        ),
    },
    Case {
        story: "an account that is given is not made",
        template: "serviceaccount.yaml",
        set: &["serviceAccount.create=false"],
        expect: Nothing,
    },
    Case {
        story: "the Service leads to metrics and health",
        template: "service.yaml",
        set: &[r#"service.annotations={"a": "b"}"#],
        expect: Has(
            "Service",
            &[
                ("/spec/ports/0/port", "8080"),
                ("/spec/ports/0/targetPort", r#""http""#),
                ("/metadata/annotations", r#"{"a": "b"}"#),
                ("/spec/selector/app.kubernetes.io~1component", ""),
            ],
        ),
    },
    Case {
        story: "no Service where none is wanted",
        template: "service.yaml",
        set: &["service.create=false"],
        expect: Nothing,
    },
    Case {
        story: "one role for the whole cluster",
        template: "roles.yaml",
        set: &[],
        expect: Kinds(&["ClusterRole", "ClusterRoleBinding"]),
    },
    Case {
        story: "a role in each namespace and none for the cluster, where namespaces are named",
        template: "roles.yaml",
        set: &[r#"namespaces=["shop", "blog"]"#],
        expect: Kinds(&["Role", "Role", "RoleBinding", "RoleBinding"]),
    },
    Case {
        story: "the roles of the namespaces lie in these, for the account of the operator's own",
        template: "roles.yaml",
        set: &[r#"namespaces=["shop"]"#],
        expect: Has(
            "RoleBinding",
            &[
                ("/metadata/namespace", r#""shop""#),
                ("/roleRef/kind", r#""Role""#),
                (
                    "/subjects",
                    r#"[{"kind": "ServiceAccount", "name": "nodeapp-operator", "namespace": "nodeapp-system"}]"#,
                ),
            ],
        ),
    },
    Case {
        story: "no role where others give the rights",
        template: "roles.yaml",
        set: &["rbac.create=false"],
        expect: Nothing,
    },
    Case {
        story: "the Lease is a matter of the operator's own namespace",
        template: "ownrole.yaml",
        set: &[r#"namespaces=["shop"]"#],
        expect: Has("Role", &[("/metadata/namespace", r#""nodeapp-system""#)]),
    },
    Case {
        story: "no role of its own where others give the rights",
        template: "ownrole.yaml",
        set: &["rbac.create=false"],
        expect: Nothing,
    },
    Case {
        story: "who may edit a namespace may write its NodeApps",
        template: "clusterroles-users.yaml",
        set: &[],
        expect: Has(
            "ClusterRole",
            &[
                ("/metadata/labels/rbac.authorization.k8s.io~1aggregate-to-edit", r#""true""#),
                ("/metadata/labels/rbac.authorization.k8s.io~1aggregate-to-view", ""),
            ],
        ),
    },
    Case {
        story: "no cluster role for people in an installation of namespaces",
        template: "clusterroles-users.yaml",
        set: &[r#"namespaces=["shop"]"#],
        expect: Nothing,
    },
];
