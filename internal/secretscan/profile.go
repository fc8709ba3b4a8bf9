package secretscan

import (
	"slices"
	"strings"
)

// Profile says what is scanned.
type Profile uint8

// The profiles.
const (
	// Traffic is what a machine sends: rules are exact there, because a wrong
	// finding breaks a build or a conversation.
	Traffic Profile = iota
	// Git is what goes into a repository for good: every rule.
	Git
)

// Rules returns the rules of a profile: our own, for the services that a
// development machine talks to and for private keys, then those of gitleaks.
func Rules(p Profile) []Rule {
	rules := []Rule{
		{Name: "private-key", Literals: []string{"-----BEGIN ", "---- BEGIN "}, Check: privateKey, span: endOfKey},
		{Name: "putty-private-key", Literals: []string{"Private-Lines: "}, Check: puttyKey, span: endOfKey},
		{Name: "aws-secret-access-key", Literals: awsKeywords, Check: awsSecret, span: awsBounds},
	}
	for _, t := range tokens {
		rules = append(rules, Rule{Name: t.name, Literals: t.literals, Check: t.token.check})
	}
	rules = append(rules, proven...)
	for _, v := range vendored {
		if p == Git || inTraffic(v) {
			rules = append(rules, compile(v, p == Traffic).rule())
		}
	}
	return rules
}

// Vendored lists the names of the rules taken from gitleaks that a profile has.
func Vendored(p Profile) []string {
	var names []string
	for _, v := range vendored {
		if p == Git || inTraffic(v) {
			names = append(names, v.id)
		}
	}
	return slices.Compact(names)
}

// inTraffic reports whether a vendored rule is fit for traffic.
func inTraffic(v pattern) bool {
	return v.path == "" && !slices.Contains(ownFamilies, v.id) && !slices.Contains(filesOnly, v.id) &&
		!slices.ContainsFunc(publicParts, func(s string) bool { return strings.HasSuffix(v.id, s) })
}

// publicParts end the names of rules for what is no secret: the public half of a
// pair.
var publicParts = []string{"-client-id", "-access-id", "-public-key", "-pub-key", "-pub-api-key", "-api-id"}

// ownFamilies are the rules whose tokens a rule of our own finds, in any
// surroundings.
var ownFamilies = []string{
	"age-secret-key", "anthropic-admin-api-key", "anthropic-api-key", "atlassian-api-token", "aws-access-token",
	"databricks-api-token", "digitalocean-access-token", "digitalocean-pat", "digitalocean-refresh-token", "gcp-api-key",
	"github-app-token", "github-fine-grained-pat", "github-oauth", "github-pat", "github-refresh-token",
	"gitlab-cicd-job-token", "gitlab-deploy-token", "gitlab-kubernetes-agent-token", "gitlab-pat", "gitlab-pat-routable", "gitlab-ptt",
	"gitlab-runner-authentication-token", "gitlab-runner-authentication-token-routable", "gitlab-scim-token",
	"grafana-cloud-api-token", "grafana-service-account-token", "huggingface-access-token", "linear-api-key",
	"new-relic-user-api-key", "notion-api-token", "npm-access-token", "openai-api-key", "perplexity-api-key",
	"planetscale-api-token", "planetscale-oauth-token", "planetscale-password", "postman-api-token", "private-key",
	"pulumi-api-token", "pypi-upload-token", "rubygems-api-token", "sendgrid-api-token", "shopify-access-token",
	"shopify-custom-access-token", "shopify-private-app-access-token", "shopify-shared-secret",
	"slack-app-token", "slack-bot-token", "slack-config-access-token", "slack-config-refresh-token", "slack-legacy-bot-token",
	"slack-legacy-token", "slack-legacy-workspace-token", "slack-user-token", "square-access-token", "stripe-access-token",
	"azure-ad-client-secret", "maxmind-license-key", "telegram-bot-api-token", "twilio-api-key", "vault-batch-token", "vault-service-token",
}

// filesOnly are the rules that find something in a repository and cry wolf in
// traffic: any assignment of anything random (conversations are full of them),
// examples of curl, tokens that pass from page to page as links do, and values
// that are as short as words.
var filesOnly = []string{
	"generic-api-key", "curl-auth-header", "curl-auth-user", "jwt", "jwt-base64", "kubernetes-secret-yaml", "hashicorp-tf-password",
	"airtable-api-key", "confluent-access-token", "dropbox-api-token", "facebook-access-token", "finicity-client-secret",
	"gitlab-session-cookie", "linkedin-client-secret", "mapbox-api-token", "messagebird-api-token", "sidekiq-sensitive-url",
	"sourcegraph-access-token", "flutterwave-encryption-key", "sonar-api-token", "privateai-api-token",
}

// DefaultAction is what becomes of a rule's findings where nobody has said
// anything: what identifies a person or a payment, rather than opening something,
// is reported and passes.
func DefaultAction(rule string) Action {
	switch rule {
	case "payment-card", "iban":
		return Warn
	case "jwt":
		return Ignore
	}
	return Block
}
