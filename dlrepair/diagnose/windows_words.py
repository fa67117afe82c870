"""The words of Windows' loader in the languages in which they are pasted."""

# ruff: noqa: RUF001

from __future__ import annotations

#: (words, Windows error code)
WORDS = (
    ("specified module could not be found", 126),
    ("specified module cannot be found", 126),
    ("找不到指定的模块", 126),
    ("找不到指定的模組", 126),
    ("angegebene Modul wurde nicht gefunden", 126),
    ("module spécifié est introuvable", 126),
    ("no se puede encontrar el módulo especificado", 126),
    ("no se encontró el módulo especificado", 126),
    ("não foi possível encontrar o módulo especificado", 126),
    ("impossibile trovare il modulo specificato", 126),
    ("Не найден указанный модуль", 126),
    ("指定されたモジュールが見つかりません", 126),
    ("지정된 모듈을 찾을 수 없습니다", 126),
    ("Nie można odnaleźć określonego modułu", 126),
    ("Kan opgegeven module niet vinden", 126),
    ("Belirtilen modül bulunamadı", 126),
    ("Det går inte att hitta den angivna modulen", 126),
    ("specified procedure could not be found", 127),
    ("specified procedure cannot be found", 127),
    ("找不到指定的程序", 127),
    ("angegebene Prozedur wurde nicht gefunden", 127),
    ("procédure spécifiée est introuvable", 127),
    ("no se encontró el proceso especificado", 127),
    ("não foi possível encontrar o procedimento especificado", 127),
    ("impossibile trovare la procedura specificata", 127),
    ("Не найдена указанная процедура", 127),
    ("指定されたプロシージャが見つかりません", 127),
    ("is not a valid Win32 application", 193),
    ("不是有效的 Win32", 193),
    ("keine zulässige Win32", 193),
    ("n’est pas une application Win32 valide", 193),
    ("n'est pas une application Win32 valide", 193),
    ("no es una aplicación Win32 válida", 193),
    ("não é um aplicativo Win32 válido", 193),
    ("не является приложением Win32", 193),
    ("は有効な Win32 アプリケーションではありません", 193),
    ("bad EXE format", 193),
    ("(DLL) initialization routine failed", 1114),
    ("DLL initialization routine failed", 1114),
    ("(DLL)初始化例程失败", 1114),
    ("(DLL) 初始化例程失败", 1114),
    ("DLL) ist fehlgeschlagen", 1114),
    ("operating system cannot run %1", 182),
    ("paging file is too small", 1455),
    ("页面文件太小", 1455),
    ("side-by-side configuration is incorrect", 14001),
    ("control policy has blocked this file", 4551),
    ("blocked by group policy", 1260),
    ("Invalid access to memory location", 998),
    ("cannot verify the digital signature", 577),
)

_SYMBOL = r"[ '\"`]*(?P<symbol>[^\s'\"`,]*)[ '\"`]*"
_LIB = r"[ :'\"`]*(?P<lib>[^\n'\"`]*?\.(?:dll|DLL|exe|pyd|node|ocx)|)(?:[\s'\"`.,]|$)"

#: (keyword, pattern) of "the procedure entry point SYMBOL could not be located in the dynamic link library LIB".
ENTRY_POINTS = (
    (
        "dynamic link library",
        r"procedure entry point" + _SYMBOL + r"could not be located in the dynamic link library" + _LIB,
    ),
    ("dynamic link library", r"(?P<symbol>[\w?@$]+) could not be located in the dynamic link library" + _LIB),
    ("Prozedureinsprungpunkt", r"Prozedureinsprungpunkt" + _SYMBOL + r"wurde in der DLL" + _LIB),
    (
        "entrée de proc",
        r"entrée de procédure" + _SYMBOL + r"est introuvable dans la biblioth\S* de liaisons? dynamiques?" + _LIB,
    ),
    (
        "punto de entrada",
        r"punto de entrada del procedimiento" + _SYMBOL + r"en la biblioteca de vínculos dinámicos" + _LIB,
    ),
    ("ponto de entrada", r"ponto de entrada d[oe] procedimento" + _SYMBOL + r"na biblioteca de v\S+ din\S+" + _LIB),
    (
        "punto di ingresso",
        r"punto di ingresso" + _SYMBOL + r"della procedura[^\n]{0,40}? nella libreria di collegamento dinamico" + _LIB,
    ),
    ("очка входа в процедуру", r"очка входа в процедуру" + _SYMBOL + r"не найдена в библиотеке DLL" + _LIB),
    ("程序输入点", r"无法定位程序输入点" + _SYMBOL + r"于动态链接库" + _LIB),
    ("程序進入點", r"程序進入點" + _SYMBOL + r"[^\n]{0,12}?動態連結程式庫" + _LIB),
    ("エントリ ポイント", r"エントリ ポイント" + _SYMBOL + r"がダイナミック リンク ライブラリ" + _LIB),
    ("시작 지점", r"프로시저 시작 지점" + _SYMBOL + r"[^\n]{0,8}?(?:DLL|동적 연결 라이브러리)" + _LIB),
    ("punktu wej", r"punktu wejścia procedury" + _SYMBOL + r"w bibliotece dołączanej dynamicznie" + _LIB),
    ("giriş noktası", r"giriş noktası" + _SYMBOL + r"[, ]*dinamik bağlantı kitaplığı" + _LIB),
    ("entry point named", r"entry point named" + _SYMBOL + r"in (?:DLL|shared library)[ '\"]*(?P<lib>[^\s'\"]*)"),
)
