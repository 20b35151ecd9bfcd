<?php

// Everybody whose name begins with ann or bob has an account: each test can have a person of its own.
$people = [];
foreach (range(0, 99) as $number) {
    $people["ann$number:annpass"] = [
        'uid' => ["ann$number"],
        'mail' => ["ann$number@example.org"],
        'givenName' => ['Ann'],
        'sn' => ['Müller & <Söhne>'],
        'eduPersonAffiliation' => ['member', 'employee'],
    ];
    $people["bob$number:bobpass"] = [
        'uid' => ["bob$number"],
        'mail' => ["bob$number@example.org"],
        'givenName' => ['Bob'],
        'sn' => ['Builder'],
        'eduPersonAffiliation' => ['member'],
    ];
}

$config = ['people' => ['exampleauth:UserPass'] + $people];
