package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/socksdirect/libsd/internal/cbuild"
)

func newLibCmd() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "lib",
		Short: "Print the path of libsd.so, building it if need be",
		Long: `lib prints the path of the libsd.so that run loads: the one beside sdirect if it was built from
the same sources, else one in your cache directory, which is built now if it is not there.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			find := cbuild.Data.Find
			if dir != "" {
				find = func() (string, error) {
					if _, err := cbuild.Trace.Build(dir); err != nil {
						return "", err
					}
					return cbuild.Data.Build(dir)
				}
			}
			path, err := find()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), path)
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "build it, and libsdtrace.so, into this directory, whether or not they are there")
	return cmd
}
