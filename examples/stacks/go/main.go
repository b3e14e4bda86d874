// Answers every request with a greeting.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/google/uuid"
)

func main() {
	instance := uuid.New()
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello from go, instance %s\n", instance)
	})
	log.Fatal(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}
