package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/socksdirect/libsd/monitor"
)

func newMonitorCmd() *cobra.Command {
	var socket, level string
	var background bool
	cmd := &cobra.Command{
		Use:   "monitor",
		Short: "Serve processes: prove who they are and introduce them to each other",
		Long: `monitor serves the registration socket in the foreground and logs to standard error. Root's
serves every user, a user's serves that user; each serves one network namespace, its own.

When it stops, connections go on as they are; new ones stay on the kernel until it is back.
It exits with 3 if another monitor serves the socket.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if socket == "" {
				var err error
				if socket, err = ownSocket(); err != nil {
					return err
				}
			}
			socket, err := filepath.Abs(socket)
			if err != nil {
				return err
			}
			if background {
				return ensureMonitor(socket)
			}
			return serve(socket, level)
		},
	}
	cmd.Flags().StringVar(&socket, "socket", "", "place of the registration socket (default $SDIRECT_SOCKET, else by user and network namespace)")
	cmd.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	cmd.Flags().BoolVar(&background, "background", false, "start it as a daemon unless one answers already, logging to a file beside the socket")
	return cmd
}

func serve(socket, level string) error {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return fmt.Errorf("--log-level %q: want debug, info, warn or error", level)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l}))
	d, err := monitor.New(socket, log)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := signalReady(); err != nil {
		log.Warn("telling who started us", "err", err)
	}
	return d.Run(ctx)
}
