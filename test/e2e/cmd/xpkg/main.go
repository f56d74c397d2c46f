// Command xpkg builds the packages of this repository without Docker: the
// function for every architecture and the configurations.
//
//	xpkg -out dist                         writes .xpkg files into a folder
//	xpkg -push registry.example.org/acme   pushes them to a registry
//
// Credentials for a registry are those of docker login.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/xpkg"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()

	out := flag.String("out", "", "folder to write .xpkg files into")
	push := flag.String("push", "", "registry and organization to push to")
	version := flag.String("version", "v0.0.0-dev", "version of the packages")
	arches := flag.String("arch", xpkg.Architectures, "architectures to build the function for")
	flag.Parse()

	if err := run(ctx, *out, *push, *version, strings.Split(*arches, ",")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, push, version string, arches []string) error {
	if out == "" && push == "" {
		return fmt.Errorf("say where to: -out FOLDER or -push REGISTRY/ORGANIZATION")
	}

	e2e, err := binaries.Root()
	if err != nil {
		return err
	}
	root := filepath.Join(e2e, "..", "..")

	idx, imgs, err := xpkg.Function(ctx, root, version, arches...)
	if err != nil {
		return err
	}

	if out != "" {
		if err := disk.Dir(out); err != nil {
			return err
		}
		for arch, img := range imgs {
			if err := file(filepath.Join(out, "function-dittoserver-"+arch+".xpkg"), img); err != nil {
				return err
			}
		}
	}

	if push != "" {
		ref, err := name.NewTag(push + "/function-dittoserver:" + version)
		if err != nil {
			return err
		}
		if err := remote.WriteIndex(ref, idx, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
			return err
		}
		fmt.Println("pushed", ref)
	}

	for _, c := range xpkg.Configurations() {
		img, err := xpkg.Package(filepath.Join(root, c.Folder), nil)
		if err != nil {
			return fmt.Errorf("cannot build %s: %w", c.Name, err)
		}

		if out != "" {
			if err := file(filepath.Join(out, c.Name+".xpkg"), img); err != nil {
				return err
			}
		}

		if push != "" {
			ref, err := name.NewTag(push + "/" + c.Name + ":" + version)
			if err != nil {
				return err
			}
			if err := remote.Write(ref, img, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
				return err
			}
			fmt.Println("pushed", ref)
		}
	}

	return nil
}

func file(path string, img v1.Image) error {
	if err := xpkg.WriteFile(path, img); err != nil {
		return err
	}

	fmt.Println("wrote", path)

	return nil
}
