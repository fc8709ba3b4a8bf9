package wire

import "slices"

// ModelHosts are the hosts of well-known model APIs. What an agent sends there is
// its conversation: it quotes the environment, word lists and error messages, so
// rules about words that are not secret by themselves do not apply by default.
// Rules about secrets do.
var ModelHosts = []string{
	"api.anthropic.com",
	"api.cerebras.ai",
	"api.cohere.com",
	"api.deepseek.com",
	"api.fireworks.ai",
	"api.groq.com",
	"api.mistral.ai",
	"api.moonshot.ai",
	"api.openai.com",
	"api.perplexity.ai",
	"api.together.xyz",
	"api.x.ai",
	"chatgpt.com",
	"generativelanguage.googleapis.com",
	"openrouter.ai",
}

// IsModelHost reports whether host, in lower case and without a port, is one of
// [ModelHosts].
func IsModelHost(host string) bool { return slices.Contains(ModelHosts, host) }
