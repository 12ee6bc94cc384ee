<?php
// Obeys lines of JSON on stdin and answers each with one line of JSON: [method of rcube_imap_generic, ...arguments].
// Needs only the library's folder of Roundcube (argument 1), no web server.
error_reporting(E_ALL & ~E_NOTICE & ~E_DEPRECATED & ~E_STRICT);
require $argv[1] . '/bootstrap.php';

$imap = new rcube_imap_generic();

function plain($value)
{
    if ($value instanceof rcube_result_thread) {
        return ['tree' => $value->is_error() ? null : $value->get_tree(), 'ids' => $value->get(), 'error' => $value->is_error()];
    }
    if ($value instanceof rcube_result_index) {
        return ['ids' => $value->get(), 'count' => $value->count(), 'min' => $value->min(), 'max' => $value->max(),
            'parameters' => $value->get_parameters(), 'error' => $value->is_error()];
    }
    if (is_object($value)) {
        $value = get_object_vars($value);
    }
    return is_array($value) ? array_map('plain', $value) : $value;
}

while (($line = fgets(STDIN)) !== false) {
    $given = json_decode($line, true);
    $name = array_shift($given);
    try {
        if ($name === 'append') { // which wants its message by reference
            $message = array_splice($given, 1, 1)[0];
            $value = $imap->append($given[0], $message, $given[1] ?? []);
        } elseif ($name === 'data') { // what it remembers of the mailbox
            $value = $imap->data;
        } elseif ($name === 'reselect') {
            $imap->selected = null;
            $value = $imap->select(...$given);
        } else {
            $value = $imap->$name(...$given);
        }
        $answer = ['value' => plain($value), 'failure' => $imap->error];
    } catch (Throwable $thrown) {
        $answer = ['error' => (string) $thrown];
    }
    echo json_encode($answer, JSON_INVALID_UTF8_SUBSTITUTE), "\n";
}
