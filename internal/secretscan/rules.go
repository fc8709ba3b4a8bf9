package secretscan

import (
	"bytes"
	"hash/crc32"
)

type namedToken struct {
	name     string
	literals []string
	token
}

// tokens are in no order; a longer literal of the same family stands in a rule
// of its own, so that its name says which kind of key it was. Literals of up to
// five bytes that base64 can hold have a run.
var tokens = []namedToken{
	{"aws-access-key-id", []string{"AKIA", "ASIA"}, token{set: base32Set, min: 16, valid: filled, except: signature}},
	{"github-token", []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_"}, token{set: alnum, min: 36, run: run4, strong: checksum}},
	{"github-fine-grained-token", []string{"github_pat_"}, token{set: word, min: 36}},
	{"gitlab-token", []string{"glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glsoat-", "glagent-"}, token{set: urlSafe, min: 20, run: run5}},
	{"slack-token", []string{"xoxa-", "xoxb-", "xoxc-", "xoxd-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-"}, token{set: urlSafe, min: 24, run: run5}},
	{"slack-app-token", []string{"xapp-"}, token{set: urlSafe, min: 32, run: run5}},
	{"stripe-key", []string{"sk_live_", "rk_live_"}, token{set: alnum, min: 16}},
	{"openai-key", []string{"sk-proj-", "sk-svcacct-", "sk-admin-"}, token{set: urlSafe, min: 32}},
	{"openai-legacy-key", []string{"sk-"}, token{set: alnum, min: 48, run: run3, strong: openAI, valid: mixed}},
	{"anthropic-key", []string{"sk-ant-"}, token{set: urlSafe, min: 32, valid: random12}},
	{"openrouter-key", []string{"sk-or-v1-"}, token{set: lowHexSet, min: 48, valid: filled}},
	{"google-api-key", []string{"AIza"}, token{set: urlSafe, min: 35, run: run4, strong: google}},
	{"google-oauth-secret", []string{"GOCSPX-"}, token{set: urlSafe, min: 24}},
	{"google-access-token", []string{"ya29."}, token{set: urlSafe, min: 40, valid: mixed}},
	{"npm-token", []string{"npm_"}, token{set: alnum, min: 36, run: run4, strong: checksum}},
	{"pypi-token", []string{"pypi-AgEI", "pypi-AgEN"}, token{set: urlSafe, min: 40}},
	{"huggingface-token", []string{"hf_"}, token{set: alnum, min: 34, run: run3, strong: letters, valid: random}},
	{"sendgrid-key", []string{"SG."}, token{set: dotted, min: 66, valid: sendgrid}},
	{"twilio-key", []string{"SK"}, token{set: lowHexSet, min: 32, valid: hexadecimal}},
	{"digitalocean-token", []string{"dop_v1_", "doo_v1_", "dor_v1_"}, token{set: lowHexSet, min: 64, valid: filled}},
	{"databricks-token", []string{"dapi"}, token{set: lowHexSet, min: 32, valid: hexadecimal}},
	{"shopify-token", []string{"shpat_", "shpca_", "shppa_", "shpss_"}, token{set: hexSet, min: 32, valid: filled}},
	{"dockerhub-token", []string{"dckr_pat_", "dckr_oat_"}, token{set: urlSafe, min: 24}},
	{"grafana-token", []string{"glsa_", "glc_ey"}, token{set: chars("a-z", "A-Z", "0-9", "_+/="), min: 32}},
	{"vault-token", []string{"hvs.", "hvb."}, token{set: urlSafe, min: 24}},
	{"linear-key", []string{"lin_api_"}, token{set: alnum, min: 32}},
	{"postman-key", []string{"PMAK-"}, token{set: chars("a-f", "0-9", "-"), min: 50, valid: filled}},
	{"age-secret-key", []string{"AGE-SECRET-KEY-1"}, token{set: bech32Set, min: 58, valid: filled}},
	{"groq-key", []string{"gsk_"}, token{set: alnum, min: 48, run: run4, valid: mixed}},
	{"xai-key", []string{"xai-"}, token{set: alnum, min: 60, run: run4, valid: mixed}},
	{"perplexity-key", []string{"pplx-"}, token{set: alnum, min: 40, run: run5}},
	{"replicate-token", []string{"r8_"}, token{set: alnum, min: 37, run: run3, valid: mixed}},
	{"supabase-token", []string{"sbp_"}, token{set: lowHexSet, min: 40, valid: filled}},
	{"tailscale-key", []string{"tskey-"}, token{set: urlSafe, min: 20}},
	{"pulumi-token", []string{"pul-"}, token{set: lowHexSet, min: 40, valid: hexadecimal}},
	{"rubygems-key", []string{"rubygems_"}, token{set: lowHexSet, min: 48, valid: filled}},
	{"notion-token", []string{"ntn_"}, token{set: alnum, min: 43, run: run4, valid: mixed}},
	{"netlify-token", []string{"nfp_"}, token{set: alnum, min: 36, run: run4, valid: mixed}},
	{"figma-token", []string{"figd_"}, token{set: urlSafe, min: 38, run: run5}},
	{"newrelic-key", []string{"NRAK-"}, token{set: bech32Set, min: 27, valid: filled}},
	{"planetscale-token", []string{"pscale_tkn_", "pscale_pw_", "pscale_oauth_"}, token{set: urlSafe, min: 32}},
	{"atlassian-token", []string{"ATATT3xFfGF0"}, token{set: chars("a-z", "A-Z", "0-9", "_=-"), min: 60}},
	{"azure-storage-key", []string{"AccountKey="}, token{set: base64Set, min: 86, valid: mixed}},
	{"square-token", []string{"sq0atp-", "sq0csp-"}, token{set: urlSafe, min: 22}},
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

// sendgrid wants an identifier of 22 bytes, a dot and a secret of 43.
func sendgrid(body []byte) bool {
	return body[22] == '.' && bytes.Count(body, []byte(".")) == 1 && mixed(body)
}

// openAI knows the mark in the middle of the keys of that maker.
func openAI(body []byte) bool { return bytes.Contains(body, []byte("T3BlbkFJ")) }

// google knows how the keys of that maker go on.
func google(body []byte) bool { return body[0] == 'S' && body[1] == 'y' }

// letters accepts a body without digits, which random base62 hardly ever is.
func letters(body []byte) bool {
	var n census
	for _, ch := range body {
		n.add(ch)
	}
	return n.digit == 0
}

// checksum verifies the CRC-32 that tokens of GitHub and npm end in: six digits
// to the base of 62, by either order of small letters and capitals.
func checksum(body []byte) bool {
	const length, digits = 36, 6
	if len(body) < length {
		return false
	}
	for _, first := range []byte("Aa") {
		sum := crc32.ChecksumIEEE(body[:length-digits])
		ok := true
		for i := length - 1; i >= length-digits; i-- {
			ok = ok && body[i] == base62(sum%62, first)
			sum /= 62
		}
		if ok {
			return true
		}
	}
	return false
}

// base62 is the digit for n; first says which letters come first.
func base62(n uint32, first byte) byte {
	switch {
	case n < 10:
		return '0' + byte(n)
	case n < 36:
		return first + byte(n-10)
	}
	return first ^ 0x20 + byte(n-36)
}

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

var awsKeywords = []string{
	"ecretAccessKey", "ecret_access_key", "ECRET_ACCESS_KEY", "ecret access key", "ecret Access Key",
	"ws_secret_key", "WS_SECRET_KEY", "wsSecretKey",
}

func awsSecret(c Candidate) Verdict { v, _ := findAWS(c); return v }

func awsBounds(c Candidate) (from, to int) {
	_, from = findAWS(c)
	return from, from + awsLength
}

const awsLength = 40

// findAWS wants, soon after its name, forty bytes of base64 that are neither a
// hash nor a path, with nothing but punctuation between the two.
func findAWS(c Candidate) (v Verdict, start int) {
	const gap, slashes = 24, 6
	start = c.Body
	for ; start < c.Body+gap; start++ {
		if start >= len(c.Data) {
			return c.ranOut(), 0
		}
		if base64Set[c.Data[start]] {
			break
		}
	}
	for i := start; i < start+awsLength; i++ {
		if i >= len(c.Data) {
			return c.ranOut(), 0
		}
		if !base64Set[c.Data[i]] {
			return No, 0
		}
	}
	body := c.Data[start : start+awsLength]
	if !mixedCase(body) || !mixed(body) || bytes.Count(body, []byte("/")) > slashes {
		return No, 0
	}
	return Yes, start
}

// mixedCase tells base64 from hexadecimal digits.
func mixedCase(b []byte) bool {
	return bytes.ContainsAny(b, "abcdefghijklmnopqrstuvwxyz") && bytes.ContainsAny(b, "GHIJKLMNOPQRSTUVWXYZ")
}
