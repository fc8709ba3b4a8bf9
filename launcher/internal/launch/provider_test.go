package launch

import "testing"

func TestOperatorDockerfile(t *testing.T) {
	for name, c := range map[string]struct{ lines, want string }{
		"on top":     {"RUN apt-get install -y jq\n\n", "FROM sha256:ab\nUSER root\nRUN apt-get install -y jq\nUSER root\n" + closing},
		"own stages": {"from ${BOTTLE_BASE} AS x\nRUN true", "ARG BOTTLE_BASE=sha256:ab\nfrom ${BOTTLE_BASE} AS x\nRUN true\nUSER root\n" + closing},
		"a word":     {"RUN echo from here", "FROM sha256:ab\nUSER root\nRUN echo from here\nUSER root\n" + closing},
	} {
		if got := OperatorDockerfile("sha256:ab", []byte(c.lines)); got != c.want {
			t.Errorf("%s: got\n%s", name, got)
		}
	}
}
