<?php

$config = [
    'people' => [
        'exampleauth:UserPass',
        'ann:annpass' => [
            'uid' => ['ann'],
            'mail' => ['ann@example.org'],
            'givenName' => ['Ann'],
            'sn' => ['Müller & <Söhne>'],
            'eduPersonAffiliation' => ['member', 'employee'],
        ],
        'bob:bobpass' => [
            'uid' => ['bob'],
            'mail' => ['bob@example.org'],
            'givenName' => ['Bob'],
            'sn' => ['Builder'],
            'eduPersonAffiliation' => ['member'],
        ],
    ],
];
