// Command etcd is etcd: its own main package is in a module that cannot be
// required, and is one line long.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
