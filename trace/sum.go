package trace

// CRC-32C without inversions is linear: sum(AB) = shift(sum(A), len(B)) xor sum(B), whatever the
// chunks are in which A and B were seen.

// Combine is the sum of two strings in a row; n is the length of the second.
func Combine(a, b uint32, n uint64) uint32 { return shift(a, n) ^ b }

// powers[i] is x^(8·2^i) modulo the polynomial, in reflected bit order: bit 31 is x^0.
var powers = func() (p [64]uint32) {
	p[0] = 1 << (31 - 8)
	for i := 1; i < len(p); i++ {
		p[i] = mulmod(p[i-1], p[i-1])
	}
	return p
}()

// shift is sum times x^(8n): as if n zero bytes had followed.
func shift(sum uint32, n uint64) uint32 {
	for i := 0; n != 0; i, n = i+1, n>>1 {
		if n&1 != 0 {
			sum = mulmod(sum, powers[i])
		}
	}
	return sum
}

const polynomial = 0x82f63b78 // Castagnoli's, reflected

func mulmod(a, b uint32) (p uint32) {
	for bit := uint32(1) << 31; bit != 0; bit >>= 1 {
		if a&bit != 0 {
			p ^= b
		}
		b = b>>1 ^ -(b&1)&polynomial
	}
	return p
}
