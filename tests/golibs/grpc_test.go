package golibs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/socksdirect/libsd/socket"
)

// echo is a service written by hand: messages come back, one at a time or as a stream.
type echo struct{}

var service = grpc.ServiceDesc{
	ServiceName: "Echo",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Once", Handler: func(_ any, ctx context.Context, decode func(any) error,
		_ grpc.UnaryServerInterceptor) (any, error) {
		var message wrapperspb.BytesValue
		if err := decode(&message); err != nil {
			return nil, err
		}
		if len(message.Value) == 0 { // a call that waits for its deadline
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return &message, nil
	}}},
	Streams: []grpc.StreamDesc{{StreamName: "Stream", ServerStreams: true, ClientStreams: true,
		Handler: func(_ any, s grpc.ServerStream) error {
			for {
				var message wrapperspb.BytesValue
				if err := s.RecvMsg(&message); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
				if err := s.SendMsg(&message); err != nil {
					return err
				}
			}
		}}},
}

func TestGRPC(t *testing.T) {
	l, err := socket.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	server.RegisterService(&service, echo{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()

	var dialed dialer
	client, err := grpc.NewClient("passthrough:///"+l.Addr().String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dialed.DialContext(ctx, "tcp", address)
		}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	var calls sync.WaitGroup
	for worker := range 8 {
		calls.Go(func() {
			dice := rand.New(rand.NewPCG(1, uint64(worker)))
			for i := 0; i < 50 || !dialed.promoted() && i < 20_000; i++ {
				out, in := message(dice), new(wrapperspb.BytesValue)
				if err := client.Invoke(ctx, "/Echo/Once", out, in); err != nil || !bytes.Equal(in.Value, out.Value) {
					t.Errorf("call %d of worker %d: %v", i, worker, err)
					return
				}
			}
		})
		calls.Go(func() {
			dice := rand.New(rand.NewPCG(2, uint64(worker)))
			s, err := client.NewStream(ctx, &service.Streams[0], "/Echo/Stream")
			if err != nil {
				t.Error(err)
				return
			}
			for i := range 50 {
				out, in := message(dice), new(wrapperspb.BytesValue)
				if err := errors.Join(s.SendMsg(out), s.RecvMsg(in)); err != nil || !bytes.Equal(in.Value, out.Value) {
					t.Errorf("message %d of stream %d: %v", i, worker, err)
					return
				}
			}
			if err := errors.Join(s.CloseSend(), s.RecvMsg(new(wrapperspb.BytesValue))); !errors.Is(err, io.EOF) {
				t.Errorf("end of stream %d: %v", worker, err)
			}
		})
	}
	calls.Wait()
	if !dialed.promoted() {
		t.Error("never promoted")
	}

	expired, stop := context.WithTimeout(ctx, 1)
	defer stop()
	err = client.Invoke(expired, "/Echo/Once", new(wrapperspb.BytesValue), new(wrapperspb.BytesValue))
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("after the deadline: %v", err)
	}
	server.GracefulStop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}

// message has 1 byte to 256 KiB.
func message(dice *rand.Rand) *wrapperspb.BytesValue {
	p := make([]byte, 1+dice.IntN([]int{64, 4096, 256 << 10}[dice.IntN(3)]))
	first, step := byte(dice.Uint32()), byte(dice.Uint32())
	for i := range p {
		p[i] = first + byte(i)*step
	}
	return &wrapperspb.BytesValue{Value: p}
}
