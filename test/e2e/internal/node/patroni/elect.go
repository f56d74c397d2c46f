package patroni

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

const (
	labelCluster  = "postgres-operator.crunchydata.com/cluster"
	labelInstance = "postgres-operator.crunchydata.com/instance"
	labelPatroni  = "postgres-operator.crunchydata.com/patroni"
	labelRole     = "postgres-operator.crunchydata.com/role"
)

// Elect returns what does Patroni's part at the API server for a pod of a database
// that gets ready: it tells who the primary is, on the pod and in the Endpoints that
// the operator looks at.
func Elect(client kubernetes.Interface) func(ctx context.Context, pod *corev1.Pod, ip string, ready bool) error {
	return func(ctx context.Context, pod *corev1.Pod, ip string, ready bool) error {
		if pod.Labels[labelInstance] == "" || pod.Labels[labelPatroni] == "" || !ready {
			return nil
		}

		s, err := askPatroni(ctx, ip)
		if err != nil {
			return err
		}

		status, err := json.Marshal(map[string]string{"state": s.State, "role": s.Role, "version": Version})
		if err != nil {
			return err
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"labels": map[string]string{labelRole: s.Role}, "annotations": map[string]string{"status": string(status)},
		}})
		if err != nil {
			return err
		}
		if _, err := client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return err
		}

		scope := pod.Labels[labelPatroni]
		labels := map[string]string{labelCluster: pod.Labels[labelCluster], labelPatroni: scope}

		return errors.Join(
			endpoints(ctx, client, pod.Namespace, scope+"-config", labels, func(e *corev1.Endpoints) {
				e.Annotations = map[string]string{"initialize": s.SystemIdentifier}
			}),
			endpoints(ctx, client, pod.Namespace, scope, labels, func(e *corev1.Endpoints) {
				e.Annotations = map[string]string{"leader": pod.Name}
				e.Subsets = []corev1.EndpointSubset{{
					Addresses: []corev1.EndpointAddress{{IP: ip, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID}}},
					Ports:     []corev1.EndpointPort{{Name: "postgres", Port: 5432}},
				}}
			}),
		)
	}
}

func endpoints(ctx context.Context, client kubernetes.Interface, namespace, name string, labels map[string]string, set func(*corev1.Endpoints)) error {
	e := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels}}
	set(e)

	_, err := client.CoreV1().Endpoints(namespace).Create(ctx, e, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	_, err = client.CoreV1().Endpoints(namespace).Update(ctx, e, metav1.UpdateOptions{})

	return err
}

func askPatroni(ctx context.Context, ip string) (*Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+ip+":8008/patroni", nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // Who it is does not matter here.
	}}
	rsp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer rsp.Body.Close() //nolint:errcheck // It is only read.

	s := &Status{}
	return s, json.NewDecoder(rsp.Body).Decode(s)
}
