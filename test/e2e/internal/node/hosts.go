package node

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

// hostsFile is what the containers of a namespace see as /etc/hosts. It stands
// in for the cluster's DNS.
func (n *Node) hostsFile(namespace string) string {
	path := filepath.Join(n.Dir, "hosts", namespace)
	if _, err := os.Stat(path); err != nil {
		n.writeHosts(namespace)
	}
	return path
}

// writeHosts writes what names mean at the moment, for the namespaces with pods
// and those that are named.
func (n *Node) writeHosts(namespaces ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()

	for _, p := range n.pods {
		namespaces = append(namespaces, p.object().Namespace)
	}
	slices.Sort(namespaces)

	for _, ns := range slices.Compact(namespaces) {
		path := filepath.Join(n.Dir, "hosts", ns)
		hosts := n.hosts(ns)
		if data, err := disk.Read(path); err == nil && string(data) == hosts {
			continue
		}
		// In place: it is mounted.
		if err := disk.Dir(filepath.Dir(path)); err != nil {
			_, _ = fmt.Fprintf(n.Log, "node: %v\n", err)
		}
		if err := disk.Write(path, []byte(hosts)); err != nil {
			_, _ = fmt.Fprintf(n.Log, "node: %v\n", err)
		}
	}
}

// hosts are the names that a namespace's pods know: Services lead to their pods
// without a proxy, and pods of StatefulSets have names of their own.
func (n *Node) hosts(namespace string) string {
	out := &strings.Builder{}
	fmt.Fprintln(out, "127.0.0.1 localhost")
	fmt.Fprintln(out, Gateway, apiServerName)
	for _, name := range slices.Sorted(maps.Keys(n.Hosts)) {
		fmt.Fprintln(out, n.Hosts[name], name)
	}
	line := func(ip, ns string, name string) {
		long := name + "." + ns
		fmt.Fprintf(out, "%s %s %s.svc %s.svc.cluster.local %s.svc.cluster.local.", ip, long, long, long, long)
		if ns == namespace {
			fmt.Fprintf(out, " %s", name)
		}
		fmt.Fprintln(out)
	}

	lines := []string{}
	for _, p := range n.pods {
		ip := p.ip()
		if ip == "" {
			continue
		}
		obj := p.object()
		if obj.Spec.Subdomain != "" {
			lines = append(lines, strings.Join([]string{ip, obj.Namespace, obj.Spec.Hostname + "." + obj.Spec.Subdomain}, " "))
		}
	}
	for _, o := range n.services.GetStore().List() {
		s := o.(*corev1.Service) //nolint:forcetypeassert // An informer of Services.
		for _, ip := range n.endpoints(s, 0) {
			lines = append(lines, strings.Join([]string{ip, s.Namespace, s.Name}, " "))
		}
	}

	slices.Sort(lines)
	for _, l := range slices.Compact(lines) {
		f := strings.Fields(l)
		line(f[0], f[1], f[2])
	}

	return out.String()
}

// endpoints are the addresses of the pods behind a Service: those that it
// selects, or those that somebody says it has.
func (n *Node) endpoints(s *corev1.Service, depth int) []string {
	var out []string

	if len(s.Spec.Selector) > 0 {
		selector := labels.Set(s.Spec.Selector).AsSelector()
		for _, p := range n.pods {
			obj := p.object()
			p.mu.Lock()
			ready := p.ready
			p.mu.Unlock()
			if obj.Namespace == s.Namespace && selector.Matches(labels.Set(obj.Labels)) && p.ip() != "" && (ready || s.Spec.PublishNotReadyAddresses) {
				out = append(out, p.ip())
			}
		}
		return out
	}

	o, ok, err := n.ends.GetStore().GetByKey(s.Namespace + "/" + s.Name)
	if !ok || err != nil || depth > 2 {
		return nil
	}
	for _, sub := range o.(*corev1.Endpoints).Subsets { //nolint:forcetypeassert // An informer of Endpoints.
		for _, a := range sub.Addresses {
			out = append(out, n.behind(s.Namespace, a.IP, depth)...)
		}
	}

	return out
}

// behind is what an address leads to, which may be that of another Service.
func (n *Node) behind(namespace, ip string, depth int) []string {
	for _, o := range n.services.GetStore().List() {
		s := o.(*corev1.Service) //nolint:forcetypeassert // An informer of Services.
		if s.Namespace == namespace && s.Spec.ClusterIP == ip {
			return n.endpoints(s, depth+1)
		}
	}
	return []string{ip}
}

func groupOf(fi fs.FileInfo) int {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return int(st.Gid)
	}
	return -1
}
