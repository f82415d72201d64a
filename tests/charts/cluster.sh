#!/usr/bin/env bash
# The charts on a real cluster: install and wait, helm test, then an upgrade under load in which no request may fail.
#
#     tests/charts/cluster.sh NAME        a kind cluster of that name; the images of `make image`
#
# Where an earlier release is tagged, its charts are what is installed first.
set -Eeuo pipefail
cd "$(dirname "$0")/../.."
cluster=${1:?name the kind cluster}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' libs/framework/pyproject.toml)
services=(auth catalog feed)

python3 -m tests.charts.helm
helm() { .tools/helm-4/helm --kube-context "kind-$cluster" --namespace shop "$@"; }
kubectl() { command kubectl --context "kind-$cluster" --namespace shop "$@"; }
tell() {
    kubectl get pods,jobs --output wide || true
    kubectl describe pods | tail -n 100 || true
    kubectl logs --selector app.kubernetes.io/component --prefix --tail 50 || true
}
trap tell ERR

values=()
for service in "${services[@]}"; do
    kind load docker-image "fairlead/$service:$version" --name "$cluster"
    values+=(--set "$service.image.pullPolicy=IfNotPresent" --set "$service.image.tag=$version")
done

kubectl create namespace shop --dry-run=client --output yaml | kubectl apply --filename -
kubectl label --overwrite namespace shop pod-security.kubernetes.io/enforce=restricted

before=charts
previous=$(git tag --list 'v*' --sort=-version:refname | grep --invert-match --line-regexp "v$version" | head -n 1 || true)
if [ -n "$previous" ]; then
    before=$(mktemp --directory)
    git archive "$previous" charts | tar --extract --directory "$before" --strip-components 1
fi
helm upgrade --install shop "$before/stack" "${values[@]}" --wait --timeout 10m
helm test shop --timeout 5m

# One client for each kind of request, inside the cluster, from before the upgrade until after it.
kubectl create configmap load --from-file=tests/charts/load.py --dry-run=client --output yaml | kubectl apply --filename -
kubectl delete job load --ignore-not-found --wait
sed "s|IMAGE|fairlead/feed:$version|" tests/charts/load-job.yaml | kubectl create --filename -
kubectl wait pod --selector job-name=load --for=condition=Ready --timeout 60s
for service in "${services[@]}"; do
    values+=(--set-string "$service.pod.annotations.example/upgraded=yes")
done
helm upgrade shop charts/stack "${values[@]}" --wait --timeout 10m
sleep 10
kubectl exec job/load -- touch /tmp/stop
kubectl wait job/load --for=condition=Complete --timeout 60s || { kubectl logs job/load; exit 1; }
kubectl logs job/load
helm test shop --timeout 5m
