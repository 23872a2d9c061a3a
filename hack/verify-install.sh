#!/usr/bin/env bash
# Installs, upgrades, rolls back and removes the operator as docs/install.md tells it, and fails when an app or the API goes
# along. It takes the installation of this release away and leaves none behind; apps run on.
#
#   VALUES=values.json hack/verify-install.sh helm        with the chart
#   VALUES=values.json hack/verify-install.sh manifests   with the plain manifests
#
# VALUES are Helm values with the images of operator, runner, forwarder and Redis, such as those that `cargo xtask image`
# writes. kubectl and helm are those in PATH, the cluster is that of KUBECONFIG.
set -euo pipefail
SELF=$(realpath "$0")
cd "$(dirname "$SELF")/.."

RELEASE=nodeapp-operator
NAMESPACE=nodeapp-system
CHART=charts/nodeapp-operator
VALUES=$(realpath "${VALUES:?Helm values with the images to install}")

say() { printf '• %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
release() { helm "$1" "$RELEASE" "${@:2}" --namespace "$NAMESPACE" --wait --timeout 2m >/dev/null; }
apps() { kubectl get nodeapps --all-namespaces --output 'jsonpath={range .items[*]}{.metadata.uid}{"\n"}{end}' | sort; }

# What must be there after whatever happens to the operator: the API, and every NodeApp of the beginning.
begin() {
  if helm status "$RELEASE" --namespace "$NAMESPACE" >/dev/null 2>&1; then
    release uninstall
  fi
  remember
}
remember() {
  API=$(kubectl get crd nodeapps.nodeapp.dev --ignore-not-found --output 'jsonpath={.metadata.uid}')
  [ -z "$API" ] || APPS=$(apps)
}
still_there() {
  local api
  # A first installation has brought the API.
  [ -n "$API" ] || remember
  api=$(kubectl get crd nodeapps.nodeapp.dev --output 'jsonpath={.metadata.uid}') || fail "$1: the API is gone"
  [ "$api" = "$API" ] || fail "$1: the API was made anew, and every NodeApp with it"
  [ "$(apps)" = "$APPS" ] || fail "$1: NodeApps came or went"
}
gone() {
  local left
  left=$(kubectl get deployments,services,serviceaccounts,roles,rolebindings,poddisruptionbudgets,networkpolicies \
    --namespace "$NAMESPACE" --selector app.kubernetes.io/part-of=nodeapp-operator --output name)
  left+=$(kubectl get clusterroles,clusterrolebindings --selector app.kubernetes.io/part-of=nodeapp-operator --output name)
  [ -z "$left" ] || fail "$1 leaves behind: $left"
}
# What the chart would install with the values.
deployment() { helm template "$RELEASE" "$CHART" --values "$VALUES" --kube-version 1.34.0 --show-only templates/deployment.yaml; }

with_helm() {
  begin
  say install
  release upgrade "$CHART" --install --create-namespace --values "$VALUES"
  helm test "$RELEASE" --namespace "$NAMESPACE" >/dev/null || fail "helm test fails after the installation"
  still_there install
  say "upgrade to two operators with budget and policy"
  release upgrade "$CHART" --values "$VALUES" --set replicas=2 --set networkPolicy.enabled=true
  kubectl get --namespace "$NAMESPACE" poddisruptionbudget,networkpolicy "$RELEASE" >/dev/null
  helm test "$RELEASE" --namespace "$NAMESPACE" >/dev/null || fail "helm test fails after the upgrade"
  still_there upgrade
  say rollback
  release rollback
  [ "$(kubectl get deployment "$RELEASE" --namespace "$NAMESPACE" --output 'jsonpath={.spec.replicas}')" = 1 ] ||
    fail "the rollback did not bring one operator back"
  still_there rollback
  say uninstall
  release uninstall
  gone "helm uninstall"
  still_there uninstall
}

with_manifests() {
  begin
  WORK=$(mktemp -d)
  trap 'rm -rf "$WORK"' EXIT
  cp -r manifests "$WORK/manifests"
  # The kustomization of docs/install.md.
  local operator images
  operator=$(deployment | sed -n 's/^ *image: "\(.*\)"$/\1/p')
  # Arguments 3 to 5: runner, forwarder, Redis.
  mapfile -t images < <(deployment | sed -n 's/^ *- \(--[a-z]*-image=.*\)$/\1/p')
  [ "${#images[@]}" = 3 ] || fail "the chart names ${#images[@]} images in arguments, not 3"
  cat > "$WORK/kustomization.yaml" <<EOF
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [manifests]
images:
  - {name: nodeapp/nodeapp-operator, newName: "${operator%:*}", newTag: "${operator##*:}"}
patches:
  - target: {kind: Deployment, name: nodeapp-operator}
    patch: |
      - {op: replace, path: /spec/template/spec/containers/0/args/3, value: "${images[0]}"}
      - {op: replace, path: /spec/template/spec/containers/0/args/4, value: "${images[1]}"}
      - {op: replace, path: /spec/template/spec/containers/0/args/5, value: "${images[2]}"}
EOF
  for step in install upgrade; do
    say "$step by kubectl apply"
    # Helm wrote the API before, if it was there: the same fields, under another name.
    kubectl apply --server-side --force-conflicts --kustomize "$WORK" >/dev/null
    kubectl rollout status deployment/nodeapp-operator --namespace "$NAMESPACE" --timeout 2m >/dev/null
    still_there "$step by kubectl apply"
  done
  say "removal by kubectl delete"
  kubectl delete --filename manifests/install.yaml --timeout 2m >/dev/null
  gone "kubectl delete"
  still_there removal
}

case "${1:-}" in
  helm) with_helm ;;
  manifests) with_manifests ;;
  *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$SELF" >&2; exit 2 ;;
esac
