// Answers every request with a greeting.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"os"

	"github.com/mitchellh/go-wordwrap"
)

func main() {
	text := wordwrap.WrapString("hello from go, in lines of a few words", 24) + "\n"
	listener, err := net.Listen("tcp", ":"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		lines := bufio.NewScanner(connection)
		for lines.Scan() && lines.Text() != "" {
		}
		fmt.Fprintf(connection, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(text), text)
		connection.Close()
	}
}
