"""glibc's messages in other languages (its message catalogues): fixed words -> the English original."""

from __future__ import annotations

#: English words -> the words of de, fr, es, it, pt, ru, zh, ja, ko, pl, nl, tr, sv, cs and uk.
_WORDS = {
    "cannot open shared object file": (
        "Kann die Shared-Object-Datei nicht öffnen", "Ne peut ouvrir le fichier d'objet partagé",
        "no se puede abrir el fichero del objeto compartido", "impossibile aprire il file oggetto condiviso",
        "não é possível abrir arquivo compartilhado", "impossível abrir ficheiro-objecto partilhado",
        "невозможно открыть разделяемый объектный файл", "无法打开共享对象文件", "無法開啟共用物件", "共有オブジェクトファイルを開けません",
        "동적 오브젝트 파일을 열 수 없습니다", "nie można otworzyć pliku obiektu dzielonego",
        "kan gedeeld objectbestand niet openen", "paylaşımlı nesne dosyası açılamıyor",
        "kan inte öppna delad objektfil", "sdílený objektový soubor nelze otevřít",
        "не вдалося відкрити файл об’єктів спільного використання", "无法打开共享目标文件",
        "não é possível abrir arquivo de objeto compartilhado", "не удалось открыть общий объектный файл",
        "no se puede abrir el archivo de objetos compartidos",
        "no se puede abrir el archivo del objeto compartido",
    ),
    "No such file or directory": (
        "Datei oder Verzeichnis nicht gefunden", "Aucun fichier ou dossier de ce type",
        "No existe el fichero o el directorio", "File o directory non esistente",
        "Arquivo ou diretório inexistente", "Ficheiro ou pasta inexistente", "Нет такого файла или каталога",
        "没有那个文件或目录", "沒有此一檔案或目錄", "そのようなファイルやディレクトリはありません", "그런 파일이나 디렉터리가 없습니다",
        "Nie ma takiego pliku ani katalogu", "Bestand of map bestaat niet", "Böyle bir dosya ya da dizin yok",
        "Filen eller katalogen finns inte", "Adresář nebo soubor neexistuje", "Немає такого файла або каталогу",
        "没有该文件或目录", "No existe el archivo o el directorio", "Kein solches File oder Verzeichnis",
        "そのようなファイルまたはディレクトリはありません",
    ),
    "Permission denied": (
        "Keine Berechtigung", "Permission non accordée", "Permiso denegado", "Permesso negato",
        "Permissão negada", "Permissão recusada", "Отказано в доступе", "权限不够", "拒絕不符權限的操作", "許可がありません",
        "허가 거부", "Brak dostępu", "Toegang geweigerd", "Erişim engellendi", "Åtkomst nekas", "Operace zamítnuta",
        "Відмовлено у доступі",
    ),
    "invalid ELF header": (
        "Ungültiger ELF-Header", "en-tête ELF invalide", "cabecera ELF inválida", "intestazione ELF non valida",
        "cabeçalho de ELF inválido", "cabeçalho ELF inválido", "неверный заголовок ELF", "无效的 ELF 头",
        "無效的 ELF 標頭", "無効な ELF ヘッダーです", "ELF 헤더가 잘못됨", "nieprawidłowy nagłówek ELF", "ongeldige ELF-header",
        "geçersiz ELF başlığı", "ogiltigt ELF-huvud", "neplatný hlavička ELF", "некоректний заголовок ELF",
        "ELF 头无效",
    ),
    "file too short": (
        "Die Datei ist zu kurz", "fichier trop court", "fichero demasiado corto", "file troppo corto",
        "arquivo pequeno demais", "ficheiro muito curto", "файл слишком мал", "文件过短", "檔案太小", "ファイルが小さすぎます",
        "파일이 너무 짧습니다", "plik za krótki", "bestand is te kort", "dosya çok küçük", "fil för kort",
        "soubor je příliš krátký", "файл є надто коротким", "archivo demasiado corto",
    ),
    "cannot read file data": (
        "Kann die Datei-Daten nicht lesen", "ne peut lire les données du fichier",
        "no se pueden leer los datos del fichero", "impossibile leggere il file di dati",
        "não foi possível carregar dados do arquivo", "impossível ler dados do ficheiro",
        "невозможно прочитать данные файла", "无法读入文件数据", "無法讀取檔案資料", "ファイルデータを読み込めません", "파일 데이터를 읽을 수 없습니다",
        "nie można odczytać danych z pliku", "kan bestandsgegevens niet lezen", "dosya verisi okunamıyor",
        "kan inte läsa fildata", "data ze souboru nelze načíst", "не вдалося прочитати дані файла",
    ),
    "failed to map segment from shared object": (
        "Fehler beim Mappen des Shared Objects", "échec d'adressage (mapping) du segment de l'objet partagé",
        "fallo al asignar un segmento del objeto compartido",
        "mappatura del segmento dall'oggetto condiviso non riuscita",
        "falha no mapeamento de segmento do objeto compartilhado",
        "falha ao mapear segmento de objecto partilhado", "сбой отображения сегмента из разделяемого объекта",
        "无法从共享目标中映射段", "從共用物件中對映區段失敗", "共有オブジェクトのセグメントをマップするのに失敗しました", "동적 오브젝트의 세그먼트를 매핑하는 실패",
        "odwzorowanie segmentu z obiektu dzielonego nie powiodło się",
        "kan segment van gedeeld object niet in het geheugen plaatsen",
        "parça paylaşımlı nesneden eşleştirilemedi", "misslyckades att mappa segment från delat objekt",
        "namapování segmentu ze sdíleného objektu se nepodařilo",
        "не вдалося відобразити сегмент з об’єкта спільного використання",
    ),
    "error while loading shared libraries": (
        "Fehler beim Laden der Shared Libraries", "erreur lors du chargement des librairies partagées",
        "error al cargar las bibliotecas compartidas", "errore durante il caricamento delle librerie condivise",
        "erro ao carregar bibliotecas compartilhadas", "erro ao carregar bibliotecas partilhadas",
        "ошибка при загрузке разделяемых библиотек", "载入共享库时出错", "載入共用函式庫時發生錯誤", "共有ライブラリのロード中にエラーが発生しました",
        "동적 라이브러리를 읽어들이는데 오류가 발생했습니다", "błąd podczas wczytywania bibliotek dzielonych",
        "fout bij laden van gedeelde bibliotheken", "paylaşımlı kitaplıklar yüklenirken hata oluştu",
        "fel när delade bibliotek laddades", "chyba během načítání sdílených knihoven",
        "помилка під час спроби завантажити бібліотеки спільного використання", "加载共享库时出错",
        "error al cargar bibliotecas compartidas",
    ),
    "only ET_DYN and ET_EXEC can be loaded": (
        "Nur ET_DYN und ET_EXEC können geladen werden", "Seuls ET_DYN et ET_EXEC peuvent être chargés",
        "solamente pueden cargarse ET_DYN y ET_EXEC", "è possibile caricare solo ET_DYN ed ET_EXEC",
        "apenas ET_DYN e ET_EXEC podem ser carregados", "só ET_DYN e ET_EXEC podem ser carregados",
        "можно загрузить только ET_DYN и ET_EXEC", "只有 ET_DYN 以及 ET_EXEC 可以加载", "只有 ET_DYN 以及 ET_EXEC 可以載入",
        "ET_DYN と ET_EXEC のみロード可能です", "ET_DYN과 ET_EXEC만을 읽어들일 수 있습니다",
        "tylko ET_DYN i ET_EXEC mogą być wczytane", "alleen ET_DYN en ET_EXEC kunnen worden geladen",
        "sadece ET_DYN ve ET_EXEC yüklü olabilir", "bara ET_DYN och ET_EXEC kan laddas",
        "jen ET_DYN a ET_EXEC mohou být nahráni", "можна завантажити лише ET_DYN і ET_EXEC",
    ),
    "cannot allocate memory in static TLS block": (
        "Kein Speicher im statischen TLS-Block verfügbar",
        "ne peut allouer de la mémoire dans un bloc statique TLS",
        "No se pudo asignar memoria en el bloque TLS estático",
        "impossibile allocare memoria nel blocco statico TLS",
        "não foi possível alocar memória em bloco TLS estático",
        "impossível alocar memória em bloco TLS estático", "невозможно выделить память в статичном блоке TLS",
        "无法在静态 TLS 块中分配内存", "無法在靜態 TLS 區塊中配置記憶體", "静的 TLS ブロック内にメモリを配置出来ません", "정적 TLS 블럭에는 메모리를 할당할 수 없습니다",
        "nie można przydzielić pamięci w statycznym bloku TLS",
        "kan geen geheugen reserveren binnen statisch TLS-blok", "durağan TLS bloğunda bellek ayrılamıyor",
        "kan inte allokera minne i statiskt TLS-block", "nelze alokovat paměť uvnitř statického bloku TLS",
        "не вдалося отримати область пам’яті у статичному блоці TLS",
    ),
    "cannot enable executable stack as shared object requires": (
        "Kann den Stack nicht ausführbar machen wie vom Shared Object verlangt",
        "ne peut activer une pile exécutable comme l'objet partagé le requiert",
        "no se puede activar la pila ejecutable tal y como el objeto compartido necesita",
        "impossibile abilitare lo stack eseguibile come richiesto dall'oggetto condiviso",
        "não foi possível habilitar pilhas de executável como requisitado pelo objeto compartilhado",
        "impossível activar a pilha do executável como o objecto partilhado requer",
        "невозможно задействовать исполняемый стек, как требует разделяемый объект", "无法启用共享目标需要的执行栈",
        "無法開啟可執行堆疊做為共用物件", "共有オブジェクトが必要としている実行可能スタックを有効にできません", "실행할 수 있는 스택을 공유 오브젝트 필수요소로 만들 수 없습니다",
        "nie można włączyć wykonywalnego stosu wymaganego przez obiekt dzielony",
        "kan uitvoerbare stack niet aanzetten zoals gedeeld object vereist",
        "paylaşımlı nesnenin gerektirdiği çalıştırılabilir yığıt etkinleştirilemiyor",
        "kan inte skapa exekverbar stack som delat objekt kräver",
        "nemohu povolit spustitelnost zásobníku, jak vyžaduje sdílený objekt",
        "не вдалося увімкнути стек виконання, як цього вимагає об’єкт спільного використання",
    ),
    "symbol lookup error": (
        "Fehler beim Nachschlagen des Symbols", "erreur de recherche de symbole",
        "error de búsqueda de símbolo", "errore nella ricerca del simbolo", "erro de procura por símbolo",
        "erro de procura de símbolo", "ошибка поиска символа", "符号查询错误", "符號查找錯誤", "シンボル検索エラーです", "심볼 찾기 오류",
        "błąd wyszukiwania symbolu", "opzoekfout voor symbool", "simge arama hatası",
        "fel vid symboluppslagning", "chyba při vyhledávání symbolu", "помилка під час пошуку символів",
    ),
}  # fmt: skip


def to_english(text: str) -> str:
    """``text`` with the known translations of glibc's words put back; the text itself where none occurs."""
    lowered = text.lower()
    for english, translations in _WORDS.items():
        for words in translations:
            at = lowered.find(words.lower())
            while at >= 0:
                text = text[:at] + english + text[at + len(words) :]
                lowered = text.lower()
                at = lowered.find(words.lower(), at + len(english))
    return text
