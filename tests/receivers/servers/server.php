<?php
// Answers 200 when is_ours() in code_shown.php accepts a request, and 401 when it does not.

declare(strict_types=1);

require __DIR__ . '/code_shown.php';

set_error_handler(fn(int $number, string $message) => throw new ErrorException($message));
try {
    http_response_code(is_ours(file_get_contents('php://input'), $_SERVER) ? 200 : 401);
} catch (Throwable) {
    http_response_code(500);
}
