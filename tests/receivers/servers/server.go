// Answers 200 when IsOurs accepts a request, and 401 when it does not.
package main

import (
	"io"
	"net/http"
	"os"
)

func answer(response http.ResponseWriter, request *http.Request) {
	defer func() {
		if recover() != nil {
			response.WriteHeader(http.StatusInternalServerError)
		}
	}()
	body, err := io.ReadAll(request.Body)
	if err != nil {
		panic(err)
	}
	if IsOurs(body, request.Header) {
		response.WriteHeader(http.StatusOK)
	} else {
		response.WriteHeader(http.StatusUnauthorized)
	}
}

func main() {
	panic(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), http.HandlerFunc(answer)))
}
