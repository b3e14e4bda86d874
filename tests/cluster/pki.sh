#!/usr/bin/env bash
# pki.sh - certificates and kubeconfigs of a new cluster, into the state folder (0.3 s; elliptic curves).
set -euo pipefail
PROGRAM=cluster
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/cluster.sh"
mkdir -p "$STATE/pki"; cd "$STATE/pki"
umask 077

key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
authority() { # authority FILE NAME
  openssl req -x509 "${key[@]}" -days 3650 -subj "/CN=$2" -keyout "$1.key" -out "$1.crt" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
}
certificate() { # certificate FILE AUTHORITY SUBJECT USAGE [NAMES]
  openssl req "${key[@]}" -subj "$3" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  { echo "keyUsage=critical,digitalSignature"; echo "extendedKeyUsage=$4"; [ -z "${5:-}" ] || echo "subjectAltName=$5"; } >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -set_serial "0x$(openssl rand -hex 8)" -days 3650 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
}
kubeconfig() { # kubeconfig CERTIFICATE FILE
  cat >"$2" <<Y
{"apiVersion": "v1", "kind": "Config", "current-context": "c",
 "clusters": [{"name": "c", "cluster": {"server": "https://$NODE_IP:6443", "certificate-authority-data": "$(base64 -w0 ca.crt)"}}],
 "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
 "users": [{"name": "u", "user": {"client-certificate-data": "$(base64 -w0 "$1.crt")", "client-key-data": "$(base64 -w0 "$1.key")"}}]}
Y
}

authority ca kubernetes-ca
authority front-ca front-proxy-ca
openssl ecparam -name prime256v1 -genkey -noout -out sa.key; openssl ec -in sa.key -pubout -out sa.pub 2>/dev/null
service=kubernetes.default.svc
certificate apiserver ca /CN=kube-apiserver serverAuth "DNS:kubernetes,DNS:kubernetes.default,DNS:$service,DNS:$service.cluster.local,DNS:localhost,IP:$API_IP,IP:$NODE_IP,IP:127.0.0.1"
certificate apiserver-kubelet ca /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
certificate front front-ca /CN=front-proxy-client clientAuth
certificate kubelet-server ca /CN=node1 serverAuth "DNS:node1,IP:$NODE_IP,IP:127.0.0.1"
certificate kubelet ca /O=system:nodes/CN=system:node:node1 clientAuth    # the name and group that the Node authorizer asks for
certificate kcm ca /CN=system:kube-controller-manager clientAuth
certificate sched ca /CN=system:kube-scheduler clientAuth
certificate proxy ca /CN=system:kube-proxy clientAuth
certificate admin ca /O=system:masters/CN=admin clientAuth
for u in kubelet kcm sched proxy; do kubeconfig $u "$STATE/$u.kubeconfig"; done
kubeconfig admin "$KUBECONFIG_OF_BOX"
