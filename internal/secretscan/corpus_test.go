package secretscan

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/precision.md")

const precisionDoc = "../../docs/precision.md"

// labelled is one case of the corpus.
type labelled struct {
	family, text string
	secret       bool
}

// maker makes random strings from a fixed seed, so that the corpus is the same
// in every run and no token stands in this file.
type maker struct{ *rand.Rand }

func (m maker) of(alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[m.IntN(len(alphabet))]
	}
	return string(b)
}

const (
	lowers  = "abcdefghijklmnopqrstuvwxyz"
	digits_ = "0123456789"
	base62s = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + lowers + digits_
	hexes   = "0123456789abcdef"
	urls    = base62s + "_-"
)

// tokensOf makes a token of each family that a development machine meets.
func (m maker) tokens() map[string]string {
	t := map[string]string{}
	for _, f := range []struct {
		name, prefix, alphabet string
		n                      int
	}{
		{"github", "gh" + "p_", base62s, 36}, {"github fine-grained", "github" + "_pat_", base62s, 82}, {"gitlab", "glp" + "at-", urls, 20},
		{"slack", "xox" + "b-123456789012-1234567890123-", base62s, 24}, {"stripe", "sk_" + "live_", base62s, 24},
		{"openai", "sk-" + "proj-", urls, 120}, {"anthropic", "sk-" + "ant-api03-", base62s, 95}, {"npm", "np" + "m_", base62s, 36},
		{"pypi", "pypi-" + "AgEIcHlwaS5vcmc", base62s, 80}, {"huggingface", "h" + "f_", base62s, 34}, {"google", "AI" + "zaSy", base62s, 33},
		{"digitalocean", "dop" + "_v1_", hexes, 64}, {"databricks", "da" + "pi", hexes, 32}, {"shopify", "shp" + "at_", hexes, 32},
		{"vault", "hv" + "s.", base62s, 95}, {"linear", "lin" + "_api_", base62s, 40}, {"aws id", "AK" + "IA", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16},
		{"sentry user", "sntryu" + "_", hexes, 64}, {"doppler", "dp." + "pt.", base62s, 43}, {"readme", "rdme" + "_", lowers + digits_, 70},
		{"prefect", "pnu" + "_", base62s, 36}, {"sendinblue", "xkeysib" + "-", hexes, 64}, {"duffel", "duffel" + "_live_", base62s, 43},
		{"grafana", "gls" + "a_", base62s, 32}, {"postman", "PM" + "AK-", hexes, 24}, {"planetscale", "pscale" + "_tkn_", base62s, 43},
		{"rubygems", "rubygems" + "_", hexes, 48}, {"shippo", "shippo" + "_live_", hexes, 40}, {"tailscale", "tskey" + "-auth-", base62s, 30},
		{"perplexity", "pplx" + "-", base62s, 48}, {"age", "AGE-SECRET" + "-KEY-1", "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58},
	} {
		t[f.name] = f.prefix + m.of(f.alphabet, f.n)
	}
	t["sendinblue"] += "-" + m.of(base62s, 16)
	t["grafana"] += "_" + m.of(hexes, 8)
	t["postman"] += "-" + m.of(hexes, 34)
	t["aws secret"] = "aws_secret_access_" + "key = " + m.of(base62s, 40)
	t["private key"] = "-----BEGIN RSA " + "PRIVATE KEY-----\n" + m.of(base62s+"+/", 64) + "\n" + m.of(base62s+"+/", 64) + "\n-----END RSA PRIVATE KEY-----"
	t["assigned, cloudflare"] = `CLOUDFLARE_API_` + `KEY="` + m.of(lowers+digits_, 40) + `"`
	t["assigned, datadog"] = `datadog_api_` + `key: ` + m.of(hexes, 40)
	t["assigned, discord"] = `"discordBot` + `Token": "` + m.of(hexes, 64) + `"`
	t["assigned, twitch"] = "TWITCH_CLIENT_" + "SECRET=" + m.of(lowers+digits_, 30)
	return t
}

// places are what a secret stands in on its way out.
var places = []struct{ name, before, after string }{
	{"alone", "", ""}, {"JSON", `{"model":"m","input":"`, `","n":1}`}, {"a conversation", `{"content":"Use this:\n\n`, `\n\nand tell me"}`},
	{"source", "\nvar key = `", "`\n"}, {"a URL", "https://h.example/v1/x?token=", "&page=2"}, {"shell", "export TOKEN=", "\ncurl x\n"},
	{"YAML", "env:\n  TOKEN: ", "\n  OTHER: x\n"}, {"a log", "2026-01-01T00:00:00Z INFO got ", " from config\n"},
}

// secretsOf makes the cases that must be found.
func secretsOf(m maker) (cases []labelled) {
	for _, p := range places {
		for name, token := range m.tokens() {
			if p.name == "a URL" && strings.ContainsAny(token, " \n=") {
				continue
			}
			if strings.Contains(p.before, `\n`) {
				token = strings.NewReplacer("\n", `\n`, `"`, `\"`).Replace(token)
			}
			cases = append(cases, labelled{name + " in " + p.name, p.before + token + p.after, true})
		}
	}
	return cases
}

// benignOf makes the cases that must pass: what development tools send.
func benignOf(m maker) (cases []labelled) {
	add := func(family string, texts ...string) {
		for _, t := range texts {
			cases = append(cases, labelled{family, t, false})
		}
	}
	for range 12 {
		sum := sha256.Sum256([]byte(m.of(base62s, 8)))
		h := hex.EncodeToString(sum[:])
		b := base64.StdEncoding.EncodeToString(append(sum[:], sum[:]...))
		u := base64.RawURLEncoding.EncodeToString(sum[:])
		image := []byte(m.of("\x00\x01\x7f\xfe\x89PNGabcdefghijklmnop", 3000))
		add("signed URL",
			"https://b.s3.example/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKI"+"A"+m.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)+"%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Signature="+h,
			"https://storage.example/o?X-Goog-Credential=sa%40p.iam.example&X-Goog-Signature="+h+h,
			"https://a.blob.example/c/f?sv=2022-11-02&sig="+strings.ReplaceAll(b[:43], "+", "%2B")+"%3D&se=2026-01-01")
		add("OAuth with PKCE",
			"https://login.example/authorize?code_challenge="+u+"&code_challenge_method=S256&state="+m.of(urls, 22),
			"grant_type=authorization_code&code="+m.of(urls, 40)+"&code_verifier="+m.of(urls, 43))
		add("JWT-shaped link", "https://assets.example/a.png?jwt=eyJhbGciOiJIUzI1NiJ9."+base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"`+h[:8]+`","exp":1}`))+"."+u)
		add("lock file", `"integrity": "sha512-`+b+`"`, "golang.example/x/net v0.50.0 h1:"+base64.StdEncoding.EncodeToString(sum[:]),
			`checksum = "`+h+`"`, `resolved "https://registry.example/x/-/x-1.3.0.tgz#`+h[:40]+`"`, "cloudflare-workers@1.0.0: "+h, `"twitter-text": {"version": "3.1.0", "sha": "`+h[:40]+`"}`)
		add("hash or id", h, h[:40], h[:32], "sha256:"+h, fmt.Sprintf("%s-%s-4%s-8%s-%s", h[:8], h[8:12], h[13:16], h[17:20], h[20:32]), "etag: W/\""+h[:32]+"\"", "discord message 1"+m.of(digits_, 17))
		add("source", "func (s *server) handleAuthToken(w http.ResponseWriter, r *http.Request) { key := s.config.apiKeyFor(r.Header.Get(\"X-Api-Key\")) }",
			"const secretKeyPlaceholder = process.env.SECRET_KEY ?? 'change-me-please'", "password = getpass.getpass('Password: ')", "if token == nil || token.AccessTokenExpiresAt.Before(time.Now()) {")
		add("minified code", "!function(e,t){var n="+m.of(lowers, 1)+"(e);n.k=\""+m.of(base62s, 12)+"\",n.key=function(e){return t[e]||(t[e]=new r)}}({},{});var _0x"+h[:6]+"=[\""+m.of(base62s, 20)+"\"]")
		add("conversation", `{"role":"user","content":"Why does my GITHUB_TOKEN=gh`+`p_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx fail? My api key is \"sk-...\" and the commit is `+h[:40]+`."}`,
			`{"type":"tool_result","content":"commit `+h[:40]+`\nAuthor: A <a@b.example>\n\n    rotate the datadog api key"}`,
			`{"encrypted_content":"`+base64.StdEncoding.EncodeToString(image[:1200])+`"}`)
		add("base64 image", `{"source":{"type":"base64","data":"`+base64.StdEncoding.EncodeToString(image)+`"}}`)
		add("package upload", "--b\r\nContent-Disposition: form-data; name=\"sha256_digest\"\r\n\r\n"+h+"\r\n--b\r\nContent-Disposition: form-data; name=\"blake2_256_digest\"\r\n\r\n"+h+"\r\n--b--")
		add("trace", "traceparent: 00-"+h[:32]+"-"+h[32:48]+"-01", "x-request-id: req_"+m.of(base62s, 24), "Idempotency-Key: stainless-node-retry-"+h[:36])
	}
	for _, s := range benign {
		add("by hand", s)
	}
	return cases
}

// The corpus is judged as traffic. What is missed and what is found wrongly fails
// the test, so that neither grows unseen.
func TestCorpus(t *testing.T) {
	m := maker{rand.New(rand.NewPCG(2026, 4))}
	cases := append(secretsOf(m), benignOf(m)...)
	var hit, missed, clean, wrong int
	families := map[string]bool{}
	for _, c := range cases {
		families[c.family] = true
		f, found := Default.Find([]byte(c.text))
		switch {
		case c.secret && found:
			hit++
		case c.secret:
			missed++
			t.Errorf("missed: %s", c.family)
		case found:
			wrong++
			t.Errorf("wrongly found: %s in %s: %.60q", f.Rule, c.family, c.text)
		default:
			clean++
		}
	}
	doc := fmt.Sprintf("# Precision and recall\n\nMade by `go test ./internal/secretscan -run Corpus -update`, which fails on any miss and any\nwrong finding. The corpus is generated by `corpus_test.go`: tokens of %d families in %d\nplaces, and what development tools send. It has no allowlist: every case is judged by what\nstands in it. It was made beside the rules, so it shows what was thought of, and keeps it.\n\n| | found | passed |\n|---|---|---|\n| secret (%d) | %d | %d |\n| benign (%d) | %d | %d |\n\nRecall %.3f, precision %.3f, %d cases.\n",
		len(m.tokens()), len(places), hit+missed, hit, missed, clean+wrong, wrong, clean,
		float64(hit)/float64(hit+missed), float64(hit)/float64(max(1, hit+wrong)), len(cases))
	if len(cases) < 400 {
		t.Errorf("the corpus has %d cases only", len(cases))
	}
	if *update {
		if err := os.WriteFile(precisionDoc, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(precisionDoc); err != nil || string(have) != doc {
		t.Errorf("docs/precision.md is not what was measured (go test ./internal/secretscan -run Corpus -update): %v", err)
	}
}
