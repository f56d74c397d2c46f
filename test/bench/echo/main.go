// Echo is the least that a composition function can be: it returns the desired
// state that it was given.
package main

import (
	"context"
	"flag"
	"log"

	"github.com/crossplane/function-sdk-go"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/crossplane/function-sdk-go/response"
)

type echo struct {
	fnv1.UnimplementedFunctionRunnerServiceServer
}

func (echo) RunFunction(_ context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	return response.To(req, response.DefaultTTL), nil
}

func main() {
	address := flag.String("address", ":9443", "address to listen at")
	metrics := flag.String("metrics-address", ":8080", "address to serve metrics at")
	certs := flag.String("tls-certs-dir", "", "folder with certificates")
	flag.Parse()
	log.Fatal(function.Serve(echo{},
		function.Listen("tcp", *address),
		function.MTLSCertificates(*certs),
		function.MaxRecvMessageSize(16<<20),
		function.WithMetricsServer(*metrics),
	))
}
