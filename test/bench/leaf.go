package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"

	"github.com/bottlesuite/bottle/internal/testkit"
)

// saveLeaf issues the upstream's certificate and stores it with its key.
func saveLeaf(ca *testkit.CA, dir string) (upstreamJob, error) {
	job := upstreamJob{filepath.Join(dir, "leaf.pem"), filepath.Join(dir, "leaf.key")}
	leaf, err := ca.MakeLeaf(host)
	if err != nil {
		return job, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		return job, err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Certificate[0]})
	return job, errors.Join(
		os.WriteFile(job.Certificate, cert, 0o600),
		os.WriteFile(job.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600),
	)
}
