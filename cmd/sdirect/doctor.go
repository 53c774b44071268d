package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// verdict is the outcome of a check. A note restricts something; a failure means that no
// connection will be on shared memory.
type verdict string

const (
	good verdict = "ok"
	note verdict = "note"
	bad  verdict = "FAIL"
)

// finding is what a check found, and what the operator can do about it.
type finding struct {
	verdict verdict
	what    string
}

func newDoctorCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor [PROG]",
		Short: "Tell what works on this machine, and whether a program can be run under sdirect",
		Long: `doctor tries what sdirect needs of this machine and says what is missing and what to do. With
PROG it also says whether that program's connections can move to shared memory, and why not.

The exit code is 1 if something makes shared memory impossible.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			findings := examineMachine()
			if len(args) == 1 {
				findings = append(findings, examineProgram(args[0])...)
			}
			return report(cmd.OutOrStdout(), findings)
		},
	}
}

func report(out io.Writer, findings []finding) error {
	failed := 0
	for _, f := range findings {
		if f.verdict == bad {
			failed++
		}
		if _, err := fmt.Fprintf(out, "%-5s %s\n", f.verdict, f.what); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(findings))
	}
	return nil
}

func examineProgram(name string) []finding {
	prog, err := lookPath(name)
	if err != nil {
		return []finding{{bad, err.Error()}}
	}
	found, err := obstacles(prog)
	if errors.Is(err, os.ErrPermission) {
		return []finding{{note, prog + " cannot be read, so nothing is known about it"}}
	}
	if err != nil {
		return []finding{{bad, err.Error()}}
	}
	if len(found) == 0 {
		return []finding{{good, prog + " can be run under sdirect"}}
	}
	var all []finding
	for _, o := range found {
		all = append(all, finding{bad, o})
	}
	return all
}
