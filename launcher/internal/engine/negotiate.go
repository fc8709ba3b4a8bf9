package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// newestAPI is the newest version of the engine's interface that this code was
// written for. An older engine is asked in its own version, a newer one in this as
// long as it still takes it.
const newestAPI = "1.51"

// agreement is the version of the interface that both sides know, once it was asked
// for. It is safe for concurrent use.
type agreement struct {
	mu      sync.Mutex
	version string
}

// negotiate finds the version. What went wrong once is asked again.
func (a *api) negotiate(ctx context.Context) (string, error) {
	a.agreed.mu.Lock()
	defer a.agreed.mu.Unlock()
	if a.agreed.version != "" {
		return a.agreed.version, nil
	}
	res, err := a.do(ctx, http.MethodGet, "/_ping", nil, nil)
	if err != nil {
		return "", err
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	version := res.Header.Get("Api-Version")
	if _, err := strconv.ParseFloat(version, 64); err != nil {
		return "", errors.New("what answers there is no Docker engine: it does not tell the version of its interface")
	}
	if older(newestAPI, version) {
		if err := a.takes(ctx, newestAPI); err != nil {
			return "", err
		}
		version = newestAPI
	}
	a.agreed.version = version
	return version, nil
}

// takes asks an engine that is newer than this code whether it still knows a version.
func (a *api) takes(ctx context.Context, version string) error {
	res, err := a.do(ctx, http.MethodGet, "/version", nil, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var engine struct{ Version, MinAPIVersion string }
	if err := json.NewDecoder(res.Body).Decode(&engine); err != nil {
		return fmt.Errorf("the engine does not say which versions of its interface it knows: %w", err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	if older(version, engine.MinAPIVersion) {
		return &Problem{
			fmt.Sprintf("the engine %s wants version %s of its interface at least, and this launcher knows none after %s", engine.Version, engine.MinAPIVersion, version),
			"update the launcher, or have the engine take older ones (min-api-version in its daemon.json)",
		}
	}
	return nil
}
