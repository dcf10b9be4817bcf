package http

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// BenchmarkSend sends batches to a server that reads them. An operation is a record.
func BenchmarkSend(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, `{"errors":false}`)
	}))
	defer s.Close()
	for _, format := range formatNames {
		for _, compress := range []string{"none", "gzip", "zstd"} {
			b.Run(format+"-"+compress, func(b *testing.B) {
				to := open(b, s.URL+"/_bulk", "format", format, "compress", compress)
				batch := shiptest.Numbered(0, 3000)
				b.ReportAllocs()
				b.SetBytes(int64(len(batch.Records[0])))
				for n := 0; n < b.N; n += len(batch.Records) {
					if err := to.Send(b.Context(), batch); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
