<?php

// SimpleSAMLphp as an identity provider for the tests: what ./start.js puts into the environment, and little else.

$scratch = getenv('SSP_SCRATCH');

// Each service provider is a file with the metadata that it serves itself, read by SimpleSAMLphp's own parser.
$providers = array_map(fn($file) => ['type' => 'xml', 'file' => $file], glob("$scratch/providers/*.xml"));

$config = [
    'baseurlpath' => getenv('SSP_ORIGIN') . '/',
    'certdir' => "$scratch/",
    'loggingdir' => "$scratch/",
    'datadir' => "$scratch/",
    'tempdir' => "$scratch/temp",
    'secretsalt' => 'only for tests, and only on loopback',
    'auth.adminpassword' => bin2hex(random_bytes(16)),
    'admin.checkforupdates' => false,
    'timezone' => 'UTC',
    // Where a logout that begins here may lead in the end: anywhere, because nobody knows the ports before.
    'trusted.url.domains' => null,
    'logging.level' => SimpleSAML\Logger::INFO,
    'logging.handler' => 'errorlog',
    'showerrors' => true,
    'enable.saml20-idp' => true,
    'module.enable' => ['core' => true, 'saml' => true, 'exampleauth' => true],
    'store.type' => 'phpsession',
    'session.phpsession.savepath' => "$scratch/sessions",
    'session.cookie.secure' => false,
    'session.cookie.samesite' => null,
    'language.cookie.secure' => false,
    'language.cookie.samesite' => null,
    'authproc.idp' => [],
    'metadata.sources' => [['type' => 'flatfile', 'directory' => __DIR__ . '/metadata'], ...$providers],
    'metadata.sign.enable' => getenv('SSP_SIGN_METADATA') === 'yes',
];
