// netpol: a small NetworkPolicy enforcer for the one-node test cluster.
// It watches Pods, Namespaces and NetworkPolicies and, on any change, replaces one nftables table in one
// transaction. Established connections go on (as with most plugins); traffic from the node itself (kubelet's
// probes, port-forward, exec) never passes the forward hook and so is always allowed.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"os/exec"
	"time"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const table = "clustergraph_netpol"

func main() {
	kc := flag.String("kubeconfig", "", "kubeconfig")
	node := flag.String("node", "node1", "the node whose pods' traffic this decides")
	flag.Parse()
	cfg, err := clientcmd.BuildConfigFromFlags("", *kc)
	if err != nil {
		log.Fatal(err)
	}
	cs := kubernetes.NewForConfigOrDie(cfg)
	f := informers.NewSharedInformerFactory(cs, 0)
	nss, pols := f.Core().V1().Namespaces(), f.Networking().V1().NetworkPolicies()
	// Pods of other nodes only say that they run: hundreds of them come and go, and nothing they send passes here.
	own := informers.NewSharedInformerFactoryWithOptions(cs, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = "spec.nodeName=" + *node
	}))
	pods := own.Core().V1().Pods()
	dirty := make(chan struct{}, 1)
	mark := func() {
		select {
		case dirty <- struct{}{}:
		default:
		}
	}
	h := cache.ResourceEventHandlerFuncs{AddFunc: func(any) { mark() }, UpdateFunc: func(_, _ any) { mark() }, DeleteFunc: func(any) { mark() }}
	pods.Informer().AddEventHandler(h)
	nss.Informer().AddEventHandler(h)
	pols.Informer().AddEventHandler(h)
	f.Start(nil)
	own.Start(nil)
	f.WaitForCacheSync(nil)
	own.WaitForCacheSync(nil)
	mark()
	last := ""
	for range dirty {
		ps, _ := pods.Lister().List(labels.Everything())
		ns, _ := nss.Lister().List(labels.Everything())
		np, _ := pols.Lister().List(labels.Everything())
		if s := rules(ps, ns, np); s != last {
			c := exec.Command("nft", "-f", "-")
			c.Stdin = bytes.NewBufferString(s)
			if out, err := c.CombinedOutput(); err != nil {
				log.Printf("nft: %v: %s\n%s", err, out, s)
				time.Sleep(time.Second)
				mark()
				continue
			}
			last = s
			log.Printf("%d policies applied", len(np))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func sel(s *metav1.LabelSelector) labels.Selector {
	r, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return r
}

func live(p *corev1.Pod) bool {
	return p.Status.PodIP != "" && !p.Spec.HostNetwork && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed
}

func rules(pods []*corev1.Pod, nss []*corev1.Namespace, pols []*netv1.NetworkPolicy) string {
	nsl := map[string]labels.Set{}
	for _, n := range nss {
		nsl[n.Name] = n.Labels
	}
	// the addresses a peer stands for, as nft matches ("ip saddr { ... }"); all = no address condition
	peers := func(dir, ns string, list []netv1.NetworkPolicyPeer) (out []string, all bool) {
		if len(list) == 0 {
			return nil, true
		}
		for _, p := range list {
			if b := p.IPBlock; b != nil {
				m := fmt.Sprintf("ip %s %s", dir, b.CIDR)
				for _, e := range b.Except {
					m += fmt.Sprintf(" ip %s != %s", dir, e)
				}
				out = append(out, m)
				continue
			}
			set := ""
			for _, q := range pods {
				if !live(q) || (p.NamespaceSelector == nil && q.Namespace != ns) ||
					(p.NamespaceSelector != nil && !sel(p.NamespaceSelector).Matches(nsl[q.Namespace])) ||
					(p.PodSelector != nil && !sel(p.PodSelector).Matches(labels.Set(q.Labels))) {
					continue
				}
				set += q.Status.PodIP + ", "
			}
			if set != "" {
				out = append(out, fmt.Sprintf("ip %s { %s }", dir, set))
			}
		}
		return out, false
	}
	ports := func(list []netv1.NetworkPolicyPort, named *corev1.Pod) (out []string) {
		if len(list) == 0 {
			return []string{""}
		}
		for _, p := range list {
			proto := "tcp"
			if p.Protocol != nil && *p.Protocol == corev1.ProtocolUDP {
				proto = "udp"
			} else if p.Protocol != nil && *p.Protocol == corev1.ProtocolSCTP {
				proto = "sctp"
			}
			switch {
			case p.Port == nil:
				out = append(out, " meta l4proto "+proto)
			case p.Port.StrVal != "" && named != nil:
				for _, c := range named.Spec.Containers {
					for _, cp := range c.Ports {
						if cp.Name == p.Port.StrVal {
							out = append(out, fmt.Sprintf(" %s dport %d", proto, cp.ContainerPort))
						}
					}
				}
			case p.EndPort != nil:
				out = append(out, fmt.Sprintf(" %s dport %d-%d", proto, p.Port.IntVal, *p.EndPort))
			case p.Port.StrVal == "":
				out = append(out, fmt.Sprintf(" %s dport %d", proto, p.Port.IntVal))
			}
		}
		return
	}
	var chains, jumps, jumpsIn bytes.Buffer
	for i, p := range pods {
		if !live(p) {
			continue
		}
		var in, eg bytes.Buffer
		isIn, isEg := false, false
		emit := func(b *bytes.Buffer, dir string, ns string, prs []netv1.NetworkPolicyPeer, pts []netv1.NetworkPolicyPort, named *corev1.Pod) {
			ms, all := peers(dir, ns, prs)
			if all {
				ms = []string{""}
			}
			for _, m := range ms {
				for _, q := range ports(pts, named) {
					fmt.Fprintf(b, "    %s%s return\n", m, q)
				}
			}
		}
		for _, np := range pols {
			if np.Namespace != p.Namespace || !sel(&np.Spec.PodSelector).Matches(labels.Set(p.Labels)) {
				continue
			}
			for _, t := range np.Spec.PolicyTypes {
				if t == netv1.PolicyTypeIngress {
					isIn = true
					for _, r := range np.Spec.Ingress {
						emit(&in, "saddr", np.Namespace, r.From, r.Ports, p)
					}
				} else {
					isEg = true
					for _, r := range np.Spec.Egress {
						emit(&eg, "daddr", np.Namespace, r.To, r.Ports, nil)
					}
				}
			}
		}
		if isEg {
			fmt.Fprintf(&chains, "  chain out%d { # %s/%s\n%s    drop\n  }\n", i, p.Namespace, p.Name, eg.String())
			fmt.Fprintf(&jumps, "    ip saddr %s jump out%d\n", p.Status.PodIP, i)
		}
		if isIn {
			fmt.Fprintf(&chains, "  chain in%d { # %s/%s\n%s    drop\n  }\n", i, p.Namespace, p.Name, in.String())
			fmt.Fprintf(&jumpsIn, "    ip daddr %s jump in%d\n", p.Status.PodIP, i)
		}
	}
	return fmt.Sprintf("table inet %[1]s\ndelete table inet %[1]s\ntable inet %[1]s {\n%[2]s  chain forward {\n    type filter hook forward priority -5; policy accept;\n    ct state established,related accept\n%[3]s%[4]s  }\n}\n", table, chains.String(), jumps.String(), jumpsIn.String())
}
