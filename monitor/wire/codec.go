package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/socksdirect/libsd/queue"
)

// MsgSize is the length in bytes of every encoded queue.Msg. The C side sends the structure as it
// lies in memory, so this is also its sizeof.
const MsgSize = 120

// Encode returns the MsgSize bytes of m: its fields in order, little-endian, without padding.
func Encode(m *queue.Msg) []byte {
	b, err := binary.Append(make([]byte, 0, MsgSize), binary.LittleEndian, m)
	if err != nil || len(b) != MsgSize {
		panic(fmt.Sprintf("wire: queue.Msg encodes to %d bytes, MsgSize is %d (%v)", len(b), MsgSize, err))
	}
	return b
}

// Decode is the reverse of Encode. A packet of another length comes from a program with another
// layout and is an error.
func Decode(b []byte) (queue.Msg, error) {
	var m queue.Msg
	if len(b) != MsgSize {
		return m, fmt.Errorf("wire: packet of %d bytes, a message has %d: the sender was built from another version", len(b), MsgSize)
	}
	_, err := binary.Decode(b, binary.LittleEndian, &m)
	return m, err
}

// Name packs a process name into the field of a message, cut at 16 bytes.
func Name(s string) (n [16]byte) {
	copy(n[:], s)
	return n
}
