package secretscan

import "bytes"

// Rules returns the rules of this build: the token formats of the services that
// a development machine talks to, and private keys.
func Rules() []Rule {
	rules := []Rule{
		{"private-key", []string{"-----BEGIN "}, privateKey},
		{"putty-private-key", []string{"Private-Lines: "}, puttyKey},
		{"aws-secret-access-key", awsKeywords, awsSecret},
	}
	for _, t := range tokens {
		rules = append(rules, Rule{t.name, t.literals, t.token.check})
	}
	return rules
}

type namedToken struct {
	name     string
	literals []string
	token
}

// tokens are in no order; a longer literal of the same family stands in a rule
// of its own, so that its name says which kind of key it was.
var tokens = []namedToken{
	{"aws-access-key-id", []string{"AKIA", "ASIA"}, token{set: base32Set, min: 16, short: true, valid: filled, except: signature}},
	{"github-token", []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_"}, token{set: alnum, min: 36, short: true}},
	{"github-fine-grained-token", []string{"github_pat_"}, token{set: word, min: 36}},
	{"gitlab-token", []string{"glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glsoat-", "glagent-"}, token{set: urlSafe, min: 20, short: true}},
	{"slack-token", []string{"xoxa-", "xoxb-", "xoxc-", "xoxd-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-"}, token{set: urlSafe, min: 24, short: true}},
	{"slack-app-token", []string{"xapp-"}, token{set: urlSafe, min: 32, short: true}},
	{"stripe-key", []string{"sk_live_", "rk_live_"}, token{set: alnum, min: 16}},
	{"openai-key", []string{"sk-proj-", "sk-svcacct-", "sk-admin-"}, token{set: urlSafe, min: 32}},
	{"openai-legacy-key", []string{"sk-"}, token{set: alnum, min: 48, left: true, short: true, valid: mixed}},
	{"anthropic-key", []string{"sk-ant-"}, token{set: urlSafe, min: 32, valid: random12}},
	{"openrouter-key", []string{"sk-or-v1-"}, token{set: lowHexSet, min: 48, valid: filled}},
	{"google-api-key", []string{"AIza"}, token{set: urlSafe, min: 35, short: true}},
	{"google-oauth-secret", []string{"GOCSPX-"}, token{set: urlSafe, min: 24}},
	{"google-access-token", []string{"ya29."}, token{set: urlSafe, min: 40, left: true, valid: mixed}},
	{"npm-token", []string{"npm_"}, token{set: alnum, min: 36, short: true}},
	{"pypi-token", []string{"pypi-AgEI", "pypi-AgEN"}, token{set: urlSafe, min: 40}},
	{"huggingface-token", []string{"hf_"}, token{set: alnum, min: 34, left: true, short: true, valid: random}},
	{"sendgrid-key", []string{"SG."}, token{set: dotted, min: 66, left: true, valid: sendgrid}},
	{"twilio-key", []string{"SK"}, token{set: lowHexSet, min: 32, exact: true, left: true, valid: filled}},
	{"digitalocean-token", []string{"dop_v1_", "doo_v1_", "dor_v1_"}, token{set: lowHexSet, min: 64, valid: filled}},
	{"databricks-token", []string{"dapi"}, token{set: lowHexSet, min: 32, left: true, valid: filled}},
	{"shopify-token", []string{"shpat_", "shpca_", "shppa_", "shpss_"}, token{set: hexSet, min: 32, valid: filled}},
	{"dockerhub-token", []string{"dckr_pat_", "dckr_oat_"}, token{set: urlSafe, min: 24}},
	{"grafana-token", []string{"glsa_", "glc_ey"}, token{set: chars("a-z", "A-Z", "0-9", "_+/="), min: 32}},
	{"vault-token", []string{"hvs.", "hvb."}, token{set: urlSafe, min: 24, left: true, valid: mixed}},
	{"linear-key", []string{"lin_api_"}, token{set: alnum, min: 32}},
	{"postman-key", []string{"PMAK-"}, token{set: chars("a-f", "0-9", "-"), min: 50, valid: filled}},
	{"age-secret-key", []string{"AGE-SECRET-KEY-1"}, token{set: bech32Set, min: 58, valid: filled}},
	{"groq-key", []string{"gsk_"}, token{set: alnum, min: 48, short: true, valid: mixed}},
	{"xai-key", []string{"xai-"}, token{set: alnum, min: 60, short: true, left: true, valid: mixed}},
	{"perplexity-key", []string{"pplx-"}, token{set: alnum, min: 40, short: true}},
	{"replicate-token", []string{"r8_"}, token{set: alnum, min: 37, left: true, short: true, valid: mixed}},
	{"supabase-token", []string{"sbp_"}, token{set: lowHexSet, min: 40, valid: filled}},
	{"tailscale-key", []string{"tskey-"}, token{set: urlSafe, min: 20, short: true}},
	{"pulumi-token", []string{"pul-"}, token{set: lowHexSet, min: 40, left: true, exact: true, valid: filled}},
	{"rubygems-key", []string{"rubygems_"}, token{set: lowHexSet, min: 48, valid: filled}},
	{"notion-token", []string{"ntn_"}, token{set: alnum, min: 43, left: true, short: true, valid: mixed}},
	{"netlify-token", []string{"nfp_"}, token{set: alnum, min: 36, short: true, valid: mixed}},
	{"figma-token", []string{"figd_"}, token{set: urlSafe, min: 38, short: true}},
	{"newrelic-key", []string{"NRAK-"}, token{set: bech32Set, min: 27, left: true, valid: filled}},
	{"planetscale-token", []string{"pscale_tkn_", "pscale_pw_", "pscale_oauth_"}, token{set: urlSafe, min: 32}},
	{"atlassian-token", []string{"ATATT3xFfGF0"}, token{set: chars("a-z", "A-Z", "0-9", "_=-"), min: 60}},
	{"azure-storage-key", []string{"AccountKey="}, token{set: base64Set, min: 86, valid: mixed}},
	{"telegram-token", []string{":AAE", ":AAF", ":AAG", ":AAH"}, token{set: urlSafe, min: 31, valid: mixed, except: telegram}},
}

// random12 is random, with a run of twelve letters or digits that words joined
// by hyphens do not have.
func random12(body []byte) bool {
	run, longest := 0, 0
	for _, ch := range body {
		if run++; !alnum[ch] {
			run = 0
		}
		longest = max(longest, run)
	}
	return longest >= 12 && random(body)
}

// sendgrid wants two parts and no more.
func sendgrid(body []byte) bool { return bytes.Count(body, []byte(".")) == 1 && mixed(body) }

// telegram wants the bot's number before the colon.
func telegram(c Candidate, _ int) Verdict {
	n := 0
	for i := c.Start - 1; i >= 0 && n < 12 && c.Data[i] >= '0' && c.Data[i] <= '9'; i-- {
		n++
	}
	if n >= 8 && n <= 11 {
		return Yes
	}
	return No
}

// Bounds of a private key: the label in its first line, what may stand before
// its body (line ends, escaped or not, and headers), and how much of a body
// makes it a key rather than talk about one.
const (
	keyLabel  = 40
	keyHeader = 512
	keyBody   = 40
)

func privateKey(c Candidate) Verdict {
	end := min(len(c.Data), c.Body+keyLabel)
	label := c.Data[c.Body:end]
	i := bytes.Index(label, []byte("PRIVATE KEY"))
	if i < 0 {
		if end == len(c.Data) {
			return c.ranOut()
		}
		return No
	}
	at := c.Body + i + len("PRIVATE KEY")
	if at+12 > len(c.Data) && !c.Final {
		return More
	}
	if hasAt(c.Data, at, " BLOCK") {
		at += len(" BLOCK")
	}
	if !hasAt(c.Data, at, "-----") {
		return No
	}
	return keyFollows(c, at+5, keyHeader)
}

func puttyKey(c Candidate) Verdict { return keyFollows(c, c.Body, 16) }

// keyFollows wants a run of base64 that begins within limit bytes after at, and
// before a line of hyphens.
func keyFollows(c Candidate, at, limit int) Verdict {
	run := 0
	for i := at; i < at+limit+keyBody; i++ {
		if i >= len(c.Data) {
			return c.ranOut()
		}
		if run++; !base64Set[c.Data[i]] {
			run = 0
			if hasAt(c.Data, i, "----") {
				return No
			}
		}
		if run >= keyBody && mixed(c.Data[i+1-keyBody:i+1]) {
			return Yes
		}
	}
	return No
}

var awsKeywords = []string{
	"ecretAccessKey", "ecret_access_key", "ECRET_ACCESS_KEY", "ecret access key", "ecret Access Key",
	"ws_secret_key", "WS_SECRET_KEY", "wsSecretKey",
}

// awsSecret wants, soon after its name, forty bytes of base64 that are not a
// hash, with nothing but punctuation between the two.
func awsSecret(c Candidate) Verdict {
	const gap, length = 24, 40
	start := c.Body
	for ; start < c.Body+gap; start++ {
		if start >= len(c.Data) {
			return c.ranOut()
		}
		if base64Set[c.Data[start]] {
			break
		}
	}
	end := start
	for ; end <= start+length; end++ {
		if end >= len(c.Data) {
			if !c.Final {
				return More
			}
			break
		}
		if !base64Set[c.Data[end]] {
			break
		}
	}
	if end-start != length || !mixedCase(c.Data[start:end]) {
		return No
	}
	return Yes
}

// mixedCase tells base64 from hexadecimal digits.
func mixedCase(b []byte) bool {
	return bytes.ContainsAny(b, "abcdefghijklmnopqrstuvwxyz") && bytes.ContainsAny(b, "GHIJKLMNOPQRSTUVWXYZ")
}
