// Command local-volumes makes PersistentVolumes of the local cluster: folders
// of the node that a pod was given to. One runs on every node.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// What storage classes call it.
const name = "nodeapp.dev/local-volumes"

// Where the scheduler writes down which node a claim's first pod goes to.
const selectedNode = "volume.kubernetes.io/selected-node"

// folders makes volumes of the folders in one folder of one node.
type folders struct {
	node, root string
}

var (
	_ controller.Provisioner   = folders{}
	_ controller.Qualifier     = folders{}
	_ controller.DeletionGuard = folders{}
)

// ShouldProvision is whether the claim's first pod goes to this node.
func (f folders) ShouldProvision(_ context.Context, claim *corev1.PersistentVolumeClaim) bool {
	return claim.Annotations[selectedNode] == f.node
}

// Provision makes a folder and describes it.
func (f folders) Provision(
	_ context.Context, options controller.ProvisionOptions,
) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	for _, mode := range options.PVC.Spec.AccessModes {
		if mode == corev1.ReadWriteMany || mode == corev1.ReadOnlyMany {
			return nil, controller.ProvisioningFinished,
				fmt.Errorf("%s is for one node: take ReadWriteOnce, not %s", name, mode)
		}
	}
	path := f.path(options.PVName)
	// Group and mode are set by the kubelet, from the pod's fsGroup.
	if err := os.MkdirAll(path, 0o770); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	here := corev1.NodeSelectorRequirement{
		Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{f.node},
	}
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   options.PVC.Spec.AccessModes,
			// What is asked for; nobody watches over it.
			Capacity: corev1.ResourceList{
				corev1.ResourceStorage: options.PVC.Spec.Resources.Requests[corev1.ResourceStorage],
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				Local: &corev1.LocalVolumeSource{Path: path},
			},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{
					{MatchExpressions: []corev1.NodeSelectorRequirement{here}},
				},
			}},
		},
	}
	return volume, controller.ProvisioningFinished, nil
}

// ShouldDelete is whether the folder lies on this node.
func (f folders) ShouldDelete(_ context.Context, volume *corev1.PersistentVolume) bool {
	affinity := volume.Spec.NodeAffinity
	if affinity == nil || affinity.Required == nil {
		return false
	}
	for _, term := range affinity.Required.NodeSelectorTerms {
		for _, wanted := range term.MatchExpressions {
			if wanted.Key == corev1.LabelHostname && len(wanted.Values) == 1 && wanted.Values[0] == f.node {
				return true
			}
		}
	}
	return false
}

// Delete removes the folder and all that is in it.
func (f folders) Delete(_ context.Context, volume *corev1.PersistentVolume) error {
	return os.RemoveAll(f.path(volume.Name))
}

// The name is made of a claim's UID by the library, and is never more than a name.
func (f folders) path(volume string) string {
	return filepath.Join(f.root, filepath.Base(volume))
}

func run() error {
	here := folders{node: os.Getenv("NODE_NAME"), root: os.Getenv("ROOT")}
	if here.node == "" || !filepath.IsAbs(here.root) {
		return errors.New("NODE_NAME must name the node, and ROOT a folder of it")
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// Each node has its own, which does what no other could.
	alone := controller.LeaderElection(false)
	controller.NewProvisionController(ctx, client, name, here, alone).Run(ctx)
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "local-volumes:", err)
		os.Exit(1)
	}
}
