package command

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

func (r *run) manCommand() *cli.Command {
	return &cli.Command{
		Name: "man", Usage: "print the manual page: launcher man | man -l -",
		Action: func(c *cli.Context) error {
			if _, err := r.words(c, false); err != nil {
				return err
			}
			_, err := r.stdio.Out.Write(manual(c.App))
			return err
		},
	}
}

// manual is the page as man reads it. It is made of the commands, so that it knows
// each of them and each of their flags.
func manual(app *cli.App) []byte {
	var b bytes.Buffer
	b.WriteString(".TH LAUNCHER 1 \"\" bottle \"Bottle\"\n.SH NAME\n" + roff("launcher") + ` \- ` + roff(app.Usage) + "\n" + manHead)
	for _, c := range app.Commands {
		if c.Hidden {
			continue
		}
		fmt.Fprintf(&b, ".TP\n\\fBlauncher %s\\fR%s\n%s.\n", roff(c.Name), spaced(roff(c.ArgsUsage)), roff(strings.ToUpper(c.Usage[:1])+c.Usage[1:]))
		if c.Description != "" {
			b.WriteString(".RS\n.nf\n" + roff(c.Description) + "\n.fi\n.RE\n")
		}
		flags := slices.DeleteFunc(slices.Clone(c.Flags), func(f cli.Flag) bool { return f.Names()[0] == "help" })
		if len(flags) == 0 {
			continue
		}
		b.WriteString(".RS\n")
		for _, f := range flags {
			fmt.Fprintf(&b, ".TP\n%s\n%s.\n", flagNames(f), roff(usageOf(f)))
		}
		b.WriteString(".RE\n")
	}
	b.WriteString(manTail)
	return b.Bytes()
}

func spaced(s string) string {
	if s == "" {
		return ""
	}
	return " " + s
}

// flagNames are the spellings of a flag, and what it takes.
func flagNames(f cli.Flag) string {
	var names []string
	for _, n := range f.Names() {
		dashes := "--"
		if len(n) == 1 {
			dashes = "-"
		}
		names = append(names, `\fB`+roff(dashes+n)+`\fR`)
	}
	s := strings.Join(names, ", ")
	if _, isBool := f.(*cli.BoolFlag); isBool {
		return s
	}
	return s + ` \fI` + "value" + `\fR`
}

func usageOf(f cli.Flag) string {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return ""
	}
	return strings.ReplaceAll(d.GetUsage(), "`", "")
}

// roff keeps text from being taken for requests and hyphens from being broken.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`).Replace(s)
	return strings.ReplaceAll(s, "\n.", "\n\\&.")
}

const manHead = `.SH SYNOPSIS
\fBlauncher\fR \fIcommand\fR [\fIflags\fR] [\fIarguments\fR] [\fB\-\-\fR \fIcommand in the bottle\fR]
.SH DESCRIPTION
Each agent runs in a bottle: a guest with no route out and no credential in it,
whose only neighbours are proxies that decide what leaves, by host, path and
method. What is not written in the bottle's manifest is denied.
.PP
Flags may stand anywhere before \fB\-\-\fR.
.SH COMMANDS
`

const manTail = `.SH EXIT STATUS
That of the command that ran in the bottle; 2 when there is something for you to
mend (arguments, manifest, environment, engine) and nothing was left behind; 3
when the answer of \fBcheck\fR is no; 1 for other failures; 128 and the signal's
number after a signal.
.SH ENVIRONMENT
.TP
\fBBOTTLE_HOME\fR
Where manifests and states live; ~/.bottle if unset.
.TP
\fBBOTTLE_SUBNET_POOL\fR
The network of which each bottle gets a /27.
.TP
\fBBOTTLE_VM_DRIVER\fR
What runs virtual machines: qemu, smolvm or unixgram.
.TP
\fBBOTTLE_GUEST\fR
The directory with the kernel and init of virtual machines; bin/guest if unset.
.TP
\fBDOCKER_HOST\fR, \fBDOCKER_CONTEXT\fR and their like
Which engine is used.
.TP
\fBNO_COLOR\fR
Set, no colours.
.PP
A \fItoken_ref\fR of a manifest names a further variable, which holds the token.
.SH FILES
.TP
\fI~/.bottle/bottles/NAME.md\fR
What may be reached, and with which credentials.
.TP
\fI~/.bottle/agents/NAME.md\fR, \fI.bottle/agents/NAME.md\fR
Which bottle an agent uses, and its prompt.
.TP
\fI~/.bottle/state/IDENTITY\fR
One launch: metadata, configuration, audit logs.
`
