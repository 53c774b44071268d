package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/socksdirect/libsd"

// mayImport is the direction of imports: for each package of the module, which others its code
// (not its tests) may use. "." is the root, which carries the C sources.
var mayImport = map[string][]string{
	".":                             {},
	"internal/shm":                  {},
	"internal/shm/testdata/codegen": {"internal/shm"},
	"internal/sockdiag":             {},
	"internal/cbuild":               {"."},
	"internal/tidy":                 {},
	"internal/tidy/calls":           {},
	"queue":                         {"internal/shm"},
	"queue/abigen":                  {},
	"monitor/wire":                  {"internal/shm", "queue"},
	"monitor":                       {"internal/shm", "internal/sockdiag", "queue", "monitor/wire"},
	"socket":                        {"internal/shm", "internal/sockdiag", "queue", "monitor/wire"},
	"cmd/sdirect":                   {"internal/shm", "internal/sockdiag", "internal/cbuild", "queue", "monitor/wire", "monitor", "trace"},
	"cmd/sdreplay":                  {"sim/csim", "trace"},
	"trace":                         {},
	"model":                         {}, // what Linux does, whatever we do
	"sim":                           {"internal/shm"},
	"sim/csim":                      {".", "sim", "sim/linear", "sim/machine", "internal/shm", "queue", "socket", "monitor/wire", "monitor", "trace"}, // needs cgo: it runs the C core
	"sim/machine":                   {"sim", "socket"},
	"sim/scene":                     {"sim", "sim/linear", "sim/machine", "internal/shm", "queue", "socket"},
	"sim/linear":                    {"sim"},
	"sim/canary":                    {},
	"cmd/sdsim":                     {"internal/shm", "sim", "sim/scene", "sim/canary", "sim/csim"},
	"tests":                         {"socket", "monitor/wire", "tests/harness"},
	"tests/apps":                    {"tests/harness"},
	"tests/differ":                  {"model", "socket", "tests/harness"},
	"tests/golibs":                  {}, // a module of its own
	"tests/gotraffic":               {"socket"},
	"tests/suites":                  {"monitor/wire"},
	"tests/harness":                 {"internal/shm", "queue", "monitor/wire"}, // it looks into arenas
}

// foreign says where the packages of others may be used.
var foreign = map[string]func(f file) bool{
	"golang.org/x/sys/":                 func(file) bool { return true },
	"github.com/spf13/cobra":            func(f file) bool { return f.folder() == "cmd/sdirect" || f.folder() == "cmd/sdsim" },
	"github.com/anishathalye/porcupine": func(f file) bool { return f.folder() == "trace" || f.folder() == "sim/linear" },
	"golang.org/x/net/":                 file.test,
	"pgregory.net/rapid":                file.test,
	"google.golang.org/grpc/":           inGolibs,
	"google.golang.org/protobuf/":       inGolibs,
	"github.com/redis/go-redis/":        inGolibs,
}

func inGolibs(f file) bool { return f.folder() == "tests/golibs" }

func TestImportDirection(t *testing.T) {
	for _, f := range files(t, ".go") {
		allowed, known := mayImport[f.folder()]
		if !known {
			t.Errorf("%s: the package is not in mayImport: decide where it stands", f.name)
			continue
		}
		for _, path := range importsOf(t, f) {
			inside, ours := strings.CutPrefix(path, module)
			if inside = strings.TrimPrefix(inside, "/"); inside == "" {
				inside = "."
			}
			switch {
			case ours && !f.test() && !slices.Contains(allowed, inside):
				t.Errorf("%s imports %s; it may import %v", f.name, inside, allowed)
			case !ours && strings.Contains(path, ".") && !foreignAllowed(f, path):
				t.Errorf("%s imports %s: not there", f.name, path)
			}
		}
	}
}

func foreignAllowed(f file, path string) bool {
	for prefix, allowed := range foreign {
		if strings.HasPrefix(path+"/", prefix) {
			return allowed(f)
		}
	}
	return false
}

// TestSharedMemoryHasOneHome: whoever looks for every access to memory that another process writes
// needs to read one package. It holds for tests and generated files too; they get along without.
func TestSharedMemoryHasOneHome(t *testing.T) {
	memory := []string{"SYS_FUTEX", "SYS_MMAP", "Mmap", "MmapPtr", "Munmap"}
	for _, f := range files(t, ".go") {
		inShm := strings.HasPrefix(f.folder(), "internal/shm")
		for _, path := range importsOf(t, f) {
			switch {
			case path == "C" && f.folder() != "sim/csim":
				t.Errorf("%s uses cgo; everything in Go is built without", f.name)
			case path == "sync/atomic" && !inShm:
				t.Errorf("%s imports sync/atomic; use internal/shm", f.name)
			case path == "unsafe" && !strings.HasSuffix(f.name, "_unsafe.go"):
				t.Errorf("%s imports unsafe; only files named *_unsafe.go may", f.name)
			}
		}
		if inShm || f.folder() == "sim/csim" { // the latter is a kernel itself
			continue
		}
		ast.Inspect(parse(t, f, 0), func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains(memory, s.Sel.Name) {
				if pkg, ok := s.X.(*ast.Ident); ok && (pkg.Name == "unix" || pkg.Name == "syscall") {
					t.Errorf("%s uses %s.%s; use internal/shm", f.name, pkg.Name, s.Sel.Name)
				}
			}
			return true
		})
	}
}

func importsOf(t *testing.T, f file) (paths []string) {
	t.Helper()
	for _, spec := range parse(t, f, parser.ImportsOnly).Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func parse(t *testing.T, f file, mode parser.Mode) *ast.File {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), f.name, f.text, mode)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
