package secretscan

import (
	"encoding/base64"
	"encoding/hex"
	"go/build"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const aJWT = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IjEifQ.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.POstGetfAytaZS82wHcjoTyoqhMyxXiWdR7Nn7A29DNSl0EiXLdwJ6xC6AfgZWF1bOsS_TuYI3OG85AmiExREkrS6tDfTQ2B3WXlrr-wp5AokiRbz3_oB4OxG-W9KcEEbDRcZc0nH3L7LzYptiy1PtAylQGxHTWZXtGz4ht0bAecBgmpdgXMguEIcoqPJ1n3pIWk_dUZegpqx0Lka21H6XxUTxiy8OcaarA8zdnPUnV6AmNP3ecFawIFYdvJB_cm-GvpCSbr8G8y_Mllj8f4x9nBH8pQux89_6gUY618iYv7tuPWBFfEbLxtF2pZS6YC1aSfLQxeNe8djT9YjpvRZA"

// benign is what a development machine sends all day. A finding in it is a bug.
var benign = []string{
	// Signed downloads.
	"https://objects.example/github-production-release-asset-2e65be/1?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKI" + "AVCODYLSA53PQK4ZA%2F20250101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20250101T000000Z&X-Amz-Expires=300&X-Amz-Signature=5c4f1e7a3a4f0d1b2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef0123&X-Amz-SignedHeaders=host",
	"AWS4-HMAC-SHA256 Credential=ASI" + "AQWERTYUIOP234567/20250101/eu-west-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=5c4f1e7a3a4f0d1b2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef0123",
	"https://b.s3.example/k?AWSAccessKeyId=AKI" + "AIOSFODNN7EXAMPLE&Expires=1141889120&Signature=vjbyPxybdZaNmGa%2ByT272YEAiv4%3D",
	"https://storage.example/b/o?X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=sa%40p.iam.example%2F20250101%2Fauto%2Fstorage%2Fgoog4_request&X-Goog-Signature=7bfb3f8c0a1b2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef",
	"https://a.blob.example/c/f?sv=2022-11-02&sr=b&sig=Wp1kVxhx3lq2v%2Fm0mHn1gCk4k3yN5wq8b7d6f5e4c3b%3D&se=2025-01-01T00%3A00%3A00Z&sp=r",
	// OAuth with PKCE, JWTs, identifiers.
	"https://login.example/authorize?response_type=code&client_id=a1b2&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&state=Zk3vT9qLw2Xc7Bn5Rj8YpQ",
	"code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk&grant_type=authorization_code",
	aJWT, "https://private-user-images.example/1/2.png?jwt=" + aJWT,
	"123e4567-e89b-12d3-a456-426614174000", "d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
	"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "Idempotency-Key: task-3f2a9d10c8e74a51b6cf0d92e8a7b6c5",
	// Lock files and manifests.
	`"integrity": "sha512-v2kDEe57lecTulaDIuNTPy3Ry4gLGJ6Z1O3vE1krgXZNrsQ+LFTGHVxVjcXPs17LhbZVGedAJv8XZ1tvj5FvSg=="`,
	"golang.org/x/net v0.50.0 h1:ucWh9eiCGyDR3vtzso0WMQinm2Dnt8cFMuQa9K33J60=",
	`checksum = "5f0e2c6ed6606019b4e29e69dbaba95b11854410e5347d525002456dbbb786b6"`, "resolved \"https://registry.example/left-pad/-/left-pad-1.3.0.tgz#5b8a3a7765dfe001261dde915589e782f8c94d1e\"",
	// Documentation, placeholders and talk about keys.
	"export GITHUB_TOKEN=gh" + "p_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "glp" + "at-XXXXXXXXXXXXXXXXXXXX", "sk-" + "ant-your-api-key-goes-here-please-really", "sk-" + "proj-your-project-key-goes-here-please",
	"xo" + "xb-your-token-goes-here-please", "grep -r 'BEGIN RSA PRIVATE KEY' .", "-----BEGIN " + "PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n" + strings.Repeat("0123456789abcdefABCDEF", 3),
	"-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUFJ1wz3Bd3lq2v9m0mHn1gCk4k3yN5wq8b7d6f5e4c3bMAoGCCqGSM49BAMC\n-----END CERTIFICATE-----",
	"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEr5c0uZ8wLx4Lx0Zk3vT9qLw2Xc7Bn5Rj8Yp\n-----END PUBLIC KEY-----",
	`if bytes.HasPrefix(b, []byte("-----BEGIN ` + `RSA PRIVATE KEY-----")) { return parse(github.com/example/project/internal/keys/loader/parser/parse) }`,
	"aws_secret_access_key = da39a3ee5e6b4b0d3255bfef95601890afd80709", "AWS_SECRET_ACCESS_KEY=${AWS_SECRET_ACCESS_KEY}", "npm_config_registry=https://registry.example/ npm_package_name=x",
	"hf_hub_download(repo_id, filename)", "task-management risk-assessment disk-utilities-and-other-things sk-SK sk-learn", "SK_1234 SKU0123456789abcdef SKIPPED", "SG.x", "dapi.example.com",
	"class=\"desk-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"", "the AKIA prefix, ASIA too; SLOVAKIA", "ghp_ gho_ ghu_ ghs_ ghr_", "pypi-AgEI",
	`{"role":"user","content":"Why does ghs_ appear? What is sk-ant-? See xoxb- and AIza."}`,
}

func TestBenign(t *testing.T) {
	for _, s := range benign {
		if f, ok := Default.Find([]byte(s)); ok {
			t.Errorf("%s in %q", f.Rule, s)
		}
	}
}

// Long random data in any encoding is not a secret, though it holds every short
// literal somewhere.
func TestRandomEncodings(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	raw := make([]byte, 12<<20)
	for i := range raw {
		raw[i] = byte(rng.Uint32())
	}
	for name, text := range map[string]string{
		"raw": string(raw), "hex": hex.EncodeToString(raw[:2<<20]),
		"base64": base64.StdEncoding.EncodeToString(raw), "base64url": base64.RawURLEncoding.EncodeToString(raw),
	} {
		if f, ok := Default.Find([]byte(text)); ok {
			t.Errorf("%s: %s at %d", name, f.Rule, f.Offset)
		}
	}
}

// The standard library is clean, apart from the keys that its tests carry.
func TestStandardLibrary(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the standard library")
	}
	files := 0
	for _, dir := range []string{"net/http", "go/types", "encoding/json", "text/template", "cmd/compile/internal/ssa"} {
		paths, _ := filepath.Glob(filepath.Join(build.Default.GOROOT, "src", dir, "*.go"))
		for _, p := range paths {
			data, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			files++
			if f, ok := Default.Find(data); ok {
				t.Errorf("%s: %s at %d", p, f.Rule, f.Offset)
			}
		}
	}
	if files == 0 {
		t.Skip("no source of the standard library here")
	}
}
